import json

import numpy as np
import pytest
import torch

from serving.cosine import CosineRanker
from serving.ranker_load import TRAINED, load_ranker
from serving.scoring import explain, order, score
from serving.tensors import PARTS
from tests.serving.world import drawn_release

F, D, H, A, K = 9, 16, 50, 40, 32
CPU = torch.device("cpu")


def request(count, seed=0, mask=(1, 1, 1, 1)):
    draw = np.random.default_rng(seed)

    def numbers(*shape):
        return draw.standard_normal((1, *shape)).astype(np.float32)

    return {
        "user_stats": numbers(5),
        "user_experienced": numbers(2, F, D),
        "user_expected": numbers(2, F, D),
        "user_anchors": numbers(A),
        "user_summary": numbers(K),
        "user_mask": np.array([mask], np.uint8),
        "hist_index": np.zeros((1, H), np.int32),
        "hist_value": numbers(H),
        "hist_vec": numbers(H, F, D),
        "item_index": np.zeros((1, count), np.int32),
        "item_vec": numbers(count, F, D),
        "item_summary": numbers(count, K),
        "item_mask": np.ones((1, count), np.uint8),
        "item_first": np.arange(count, dtype=np.int32).reshape(1, -1),
    }


def test_requests_of_different_lengths_in_one_batch_score_as_they_do_alone():
    ranker = CosineRanker()
    requests = [request(count, seed) for seed, count in enumerate([3, 0, 100, 2000, 1, 100, 2000, 2000, 7])]
    together = score(ranker, requests, CPU)
    for one, scores in zip(requests, together, strict=True):
        assert len(scores) == one["item_index"].shape[1]
        np.testing.assert_allclose(scores, score(ranker, [one], CPU)[0], atol=1e-6)


def test_a_batch_of_long_and_short_lists_is_not_padded_to_the_longest():
    rows = []

    class Counting(CosineRanker):
        def forward(self, batch):
            rows.append(batch["item_vec"].shape[0] * batch["item_vec"].shape[1])
            return super().forward(batch)

    score(Counting(), [request(2000), *(request(10, seed) for seed in range(31))], CPU)
    assert max(rows) == 2000
    assert sum(rows) == 2310  # not 64,000


def test_doubles_get_exactly_the_score_of_the_first():
    one = request(3)
    one["item_vec"][0, 2] = one["item_vec"][0, 0] + 1e-3  # even if the ranker saw them a little apart
    one["item_first"][0, 2] = 0
    scores = score(CosineRanker(), [one], CPU)[0]
    assert scores[2] == scores[0] != scores[1]


def test_equal_scores_keep_the_order_of_the_request():
    scores = np.array([0.5, 0.9, 0.5, 0.9, 0.1], np.float32)
    assert order(scores, None).tolist() == [1, 3, 0, 2, 4]
    assert order(scores, 2).tolist() == [1, 3]
    assert order(scores, 99).tolist() == [1, 3, 0, 2, 4]
    assert order(scores[:0], 3).tolist() == []


def test_an_explanation_names_only_the_parts_that_were_used():
    ranker = CosineRanker()
    one = request(4, mask=(0, 1, 0, 0))
    told = json.loads(explain(ranker, one, CPU))
    assert list(told) == ["experienced"]
    logits = torch.logit(torch.from_numpy(score(ranker, [one], CPU)[0])).numpy()
    np.testing.assert_allclose(told["experienced"], logits, atol=1e-3)
    assert json.loads(explain(ranker, request(0), CPU)) == {}


@pytest.mark.parametrize("part", PARTS)
def test_a_hidden_part_does_not_leak_into_the_cosine_ranker(part):
    mask = [1, 1, 1, 1]
    mask[PARTS.index(part)] = 0
    one, other = request(5, 1, tuple(mask)), request(5, 1, tuple(mask))
    if f"user_{part}" in other:
        other[f"user_{part}"] = other[f"user_{part}"] + 1
    assert score(CosineRanker(), [one], CPU)[0].tolist() == score(CosineRanker(), [other], CPU)[0].tolist()


def test_probabilities_are_tempered_as_the_release_says_and_the_order_stays(tmp_path):
    vocabulary = {f"i{index}": index for index in range(2, 12)}
    one = request(30)
    one["hist_index"] += 3
    one["item_index"] = np.arange(2, 32, dtype=np.int32).reshape(1, -1) % 12
    scores = {}
    for temperature in (1.0, 2.5):
        release = drawn_release(tmp_path / "releases", vocabulary, temperature=temperature)
        (tmp_path / str(temperature)).mkdir()
        (tmp_path / str(temperature) / "release").symlink_to(release.path)
        scores[temperature] = score(load_ranker(tmp_path / str(temperature), TRAINED), [one], CPU)[0]
    sharp, soft = (np.log(values / (1 - values)) for values in scores.values())
    assert np.abs(sharp).max() > 0.5
    np.testing.assert_allclose(soft, sharp / 2.5, atol=1e-4)
    assert order(scores[1.0], None).tolist() == order(scores[2.5], None).tolist()
