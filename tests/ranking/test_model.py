"""The ranker on the tensors of serving: shapes, masks, and answers that no neighbour in the batch changes."""

from dataclasses import replace

import pytest
import torch

from ranking.fit import hide, with_hidden
from ranking.head import MatchingHead, widths
from ranking.model import Ranker
from ranking.shape import RankerShape

F, D, H, A = 9, 16, 50, 40
SHAPE = RankerShape(vocabulary=100, groups=tuple(widths(9)), collaborative=8)


def unit(*shape):
    return torch.nn.functional.normalize(torch.randn(*shape, D), dim=-1)


def a_batch(users=3, count=7):
    torch.manual_seed(2)
    index = torch.randint(2, 100, (users, H), dtype=torch.int32)
    index[:, 30:] = 0
    vec = unit(users, H, F)
    vec[index == 0] = 0
    value = torch.randint(1, 6, (users, H)).float() * (index > 0)
    return {
        "user_stats": torch.rand(users, 5),
        "user_experienced": torch.randn(users, 2, F, D),
        "user_expected": torch.randn(users, 2, F, D),
        "user_anchors": torch.randint(0, 6, (users, A)).float(),
        "user_summary": torch.randn(users, 32),
        "user_mask": torch.ones(users, 4, dtype=torch.uint8),
        "hist_index": index,
        "hist_value": value,
        "hist_vec": vec,
        "item_index": torch.randint(1, 100, (users, count), dtype=torch.int32),
        "item_vec": unit(users, count, F),
        "item_summary": torch.randn(users, count, 32),
        "item_mask": torch.ones(users, count, dtype=torch.uint8),
    }


@pytest.fixture
def ranker():
    torch.manual_seed(0)
    network = Ranker(SHAPE).eval()
    network.head.anchor_vec.copy_(unit(A, F))
    network.head.anchor_index.copy_(torch.arange(2, 2 + A, dtype=torch.int32))
    network.head.anchor_means.fill_(3.5)
    network.head.anchor_likeness.copy_(torch.rand(SHAPE.vocabulary, A))
    for table in (network.head.collaborative, network.head.taste, network.head.items):
        table[2:] = torch.randn(SHAPE.vocabulary - 2, table.shape[1]) / 3
    return network.requires_grad_(False)


def test_a_candidates_logit_does_not_depend_on_its_company(ranker):
    batch = a_batch()
    logits = ranker(batch)
    assert logits.shape == (3, 7)
    for user in range(3):
        for place in (0, 6):
            alone = {name: tensor[user : user + 1] for name, tensor in batch.items()}
            alone |= {name: alone[name][:, place : place + 1] for name in alone if name.startswith("item_")}
            torch.testing.assert_close(ranker(alone)[0, 0], logits[user, place], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("place", "tensors"),
    [
        (0, ("hist_index", "hist_value", "hist_vec")),
        (1, ("user_experienced",)),
        (2, ("user_expected", "user_anchors")),
        (3, ("user_summary",)),
    ],
)
def test_a_hidden_part_of_the_user_is_not_read_and_a_shown_one_is(ranker, place, tensors):
    batch = a_batch()
    changed = {name: tensor.clone() for name, tensor in batch.items()}
    for name in tensors:
        changed[name] = changed[name].flip(0)
    assert not torch.allclose(ranker(changed), ranker(batch))
    batch["user_mask"][:, place] = changed["user_mask"][:, place] = 0
    torch.testing.assert_close(ranker(changed), ranker(batch))


def test_hidden_item_knowledge_is_not_read(ranker):
    batch = a_batch()
    batch["item_mask"][:] = 0
    before = ranker(batch)
    batch["item_summary"] = torch.randn_like(batch["item_summary"])
    batch["item_vec"] = unit(3, 7, F)
    # The anchors' knowledge kernel and everything else that compares with the candidate is behind the mask.
    torch.testing.assert_close(ranker(batch), before)


def test_an_unknown_user_and_unknown_items_get_finite_logits(ranker):
    batch = {name: torch.zeros_like(tensor) for name, tensor in a_batch().items()}
    batch["item_index"][:] = 1
    logits = ranker(batch)
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits, logits[:1, :1].expand(3, 7))


def test_a_release_without_the_later_groups_needs_none_of_their_tables(ranker):
    torch.manual_seed(0)
    first = Ranker(RankerShape(vocabulary=100)).eval()
    assert not {"head.taste", "head.items", "head.collaborative"} & first.state_dict().keys()
    assert torch.isfinite(first(a_batch())).all()


def test_no_candidates_is_an_empty_answer(ranker):
    assert ranker(a_batch(count=0)).shape == (3, 0)


def test_features_that_are_known_already_give_the_same_logits(ranker):
    batch = a_batch()
    torch.testing.assert_close(ranker(batch, ranker.head.features(batch)), ranker(batch))


def test_neighbourhood_is_the_users_own_surprise_at_the_very_item():
    head = MatchingHead(SHAPE)
    batch = a_batch(users=1, count=1)
    batch["item_vec"][0, 0] = batch["hist_vec"][0, 4]  # in 16 dimensions nothing else comes near
    features = head.features(batch)[0, 0]
    width = widths(F)
    start = sum(width[name] for name in SHAPE.groups[: SHAPE.groups.index("neighbourhood")])
    near = features[start : start + F + 1]
    value = batch["hist_value"][0]
    torch.testing.assert_close(near[F], value[4] - value[:30].mean(), atol=0.02, rtol=0.0)


def test_hiding_is_independent_per_sample_and_reproducible():
    import numpy as np

    batch = {
        "user_mask": torch.ones(4000, 4, dtype=torch.uint8),
        "item_mask": torch.ones(4000, 1, dtype=torch.uint8),
        "item_index": torch.full((4000, 1), 7, dtype=torch.int32),
    }
    first, second = dict(batch), dict(batch)
    hide(first, np.random.default_rng(0))
    hide(second, np.random.default_rng(0))
    assert all(torch.equal(first[name], second[name]) for name in batch)
    shares = 1 - torch.cat([first["user_mask"], first["item_mask"]], 1).float().mean(0)
    torch.testing.assert_close(shares, torch.tensor([0.2, 0.1, 0.2, 0.2, 0.15]), atol=0.02, rtol=0.0)
    assert (first["item_index"] == 1).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert torch.equal(batch["user_mask"], torch.ones_like(batch["user_mask"]))


def test_samples_with_something_hidden_are_seen_whole_as_well():
    import numpy as np

    batch = {
        "user_mask": torch.ones(400, 4, dtype=torch.uint8),
        "item_mask": torch.ones(400, 1, dtype=torch.uint8),
        "item_index": torch.arange(2, 402, dtype=torch.int32).unsqueeze(1),
        "hist_value": torch.arange(400.0).unsqueeze(1),
    }
    both, rows = with_hidden(batch, np.random.default_rng(0))
    assert all(torch.equal(both[name][:400], tensor) for name, tensor in batch.items())
    copies = {name: tensor[400:] for name, tensor in both.items()}
    assert torch.equal(copies["hist_value"][:, 0], rows[400:].float())
    lost = (copies["user_mask"] == 0).any(1) | (copies["item_mask"][:, 0] == 0) | (copies["item_index"][:, 0] == 1)
    assert lost.all()
    assert 0.5 < len(rows) / 400 - 1 < 0.8  # 1 - 0.8 * 0.9 * 0.8 * 0.8 * 0.85 * 0.8 = 0.69


@pytest.mark.parametrize("part", range(6))
def test_what_is_missing_changes_what_the_columns_are_worth(part):
    ranker = Ranker(replace(SHAPE, head_reweighs=True)).eval()
    batch = a_batch(users=2, count=3)
    batch["item_index"].clamp_(min=2)
    hidden = dict(batch)
    if part < 4:
        hidden["user_mask"] = batch["user_mask"].clone()
        hidden["user_mask"][:, part] = 0
    elif part == 4:
        hidden["item_mask"] = torch.zeros_like(batch["item_mask"])
    else:
        hidden["item_index"] = torch.ones_like(batch["item_index"])
    with torch.no_grad():
        whole, less = ranker(batch), ranker(hidden)
        ranker.missing.weight[:, part] += 0.5
        torch.testing.assert_close(ranker(batch), whole)
        worth = 0.5 * ranker.head(hidden).sum(-1)
        torch.testing.assert_close(ranker(hidden) - less, worth, atol=1e-4, rtol=1e-4)
