"""The head in numpy against the head in torch, and which releases are served with it."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ranking.collaborative import RANK
from ranking.model import Ranker
from ranking.release import Release
from ranking.shape import FIRST_GROUPS, RankerShape
from ranking.variants import HEAD_HIDDEN, VARIANTS
from serving.head_columns import GROUPS, HeadColumns
from serving.ranker_load import TRAINED, ReleaseRanker, load_ranker
from serving.scoring import explain, score
from serving.tensors import RANKER_TENSORS
from tests.ranking.test_head import A, D, F, H, R, V, drawn_batch, drawn_head
from tests.release.write_fixture import FIXTURES
from tests.serving.test_scoring import request
from tests.serving.world import drawn_release

OURS = tuple(VARIANTS["ours"].groups)
SHAPE = RankerShape(vocabulary=V, factors=F, dim=D, anchors=A, groups=OURS, collaborative=R)
CPU = torch.device("cpu")


def alone(batch, user):
    return {name: tensor[user : user + 1].numpy() for name, tensor in batch.items()}


@pytest.mark.parametrize("length", [None, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_columns_in_numpy_are_those_in_torch(seed, length):
    torch.manual_seed(seed)
    head, batch = drawn_head(OURS), drawn_batch()
    head.mean.normal_()
    head.scale.uniform_(0.5, 2.0)
    if length is not None:
        # 1: as a release's vectors are. 30: so far from each other that a softmax must look at the nearest alone.
        for name in ("hist_vec", "item_vec"):
            batch[name] = torch.nn.functional.normalize(batch[name], dim=-1) * length
    wanted, columns = head(batch), HeadColumns(head, SHAPE, H)
    for user, torch_made in enumerate(wanted):
        np.testing.assert_allclose(columns(alone(batch, user)), torch_made, atol=1e-4)
        batch["user_mask"][user] = 1
        batch["item_mask"][user] = 1
    for user, torch_made in enumerate(head(batch)):
        np.testing.assert_allclose(columns(alone(batch, user)), torch_made, atol=1e-4)


def test_a_head_of_other_groups_is_left_to_torch():
    assert set(OURS) == GROUPS  # what is trained today must be served fast
    for groups in (FIRST_GROUPS, OURS[1:], tuple(VARIANTS["strong"].groups)):
        with pytest.raises(ValueError, match="groups"):
            HeadColumns(drawn_head(groups), SHAPE, H)


@pytest.fixture(scope="module", params=[False, True], ids=["ids alone", "with summaries"])
def release(request, tmp_path_factory):
    shape = RankerShape(
        vocabulary=200,
        groups=OURS,
        collaborative=RANK,
        summaries=request.param,
        head_hidden=HEAD_HIDDEN,
        head_reweighs=True,
    )
    return drawn_release(tmp_path_factory.mktemp("releases"), {f"i{n}": 2 + n for n in range(198)}, shape)


def requests():
    made = []
    for seed, count in enumerate([100, 3, 0, 40, 1]):
        one, draw = request(count, seed), np.random.default_rng(seed)
        one["hist_index"][0, : 10 * seed] = draw.integers(1, 200, 10 * seed)
        one["item_index"][:] = draw.integers(1, 200, count)
        made.append(one)
    return made


def test_a_release_scores_and_explains_in_numpy_as_it_does_in_torch(release):
    fast, plain = ReleaseRanker(release).eval(), ReleaseRanker(release).eval()
    assert fast.columns is not None
    plain.columns = None
    for one, other in zip(score(fast, requests(), CPU), score(plain, requests(), CPU), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    one, other = (json.loads(explain(ranker, requests()[0], CPU)) for ranker in (fast, plain))
    assert list(one) == list(other)
    for part, falls in one.items():
        np.testing.assert_allclose(falls, other[part], atol=3e-4)


def test_an_earlier_release_is_served_by_torch(tmp_path):
    release = drawn_release(tmp_path / "releases", {f"i{n}": 2 + n for n in range(198)})
    (tmp_path / "release").symlink_to(release.path)
    ranker = load_ranker(tmp_path, TRAINED)
    assert ranker.columns is None
    torch_alone = Ranker(release.about.ranker).eval()
    torch_alone.load_state_dict(release.ranker().state_dict())
    one = requests()[0]
    batch = {name: torch.from_numpy(array) for name, array in one.items()}
    with torch.inference_mode():
        wanted = torch.sigmoid(torch_alone(batch))[0].numpy()
    np.testing.assert_allclose(score(ranker, [one], CPU)[0], wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["first", "tempered", "ours", "reweighs"])
def test_what_an_earlier_version_wrote_is_served_with_the_scores_of_that_day(name):
    (path,) = (FIXTURES / name).glob("*/")
    ranker = ReleaseRanker(Release.load(path)).eval()
    assert (ranker.columns is not None) == (name != "first")
    inputs, answers = (load_file(FIXTURES / name / f"{kind}.safetensors") for kind in ("inputs", "answers"))
    wanted = torch.sigmoid(answers["logits"] / ranker.temperature)
    first = {"item_first": np.arange(wanted.shape[1], dtype=np.int32).reshape(1, -1)}
    tensors = {key: inputs[key] for key in RANKER_TENSORS}
    scores = score(ranker, [alone(tensors, user) | first for user in range(len(wanted))], CPU)
    np.testing.assert_allclose(np.stack(scores), wanted, atol=1e-5)


def test_vectors_that_overflow_spoil_their_own_request_alone(release):
    ranker, asked = ReleaseRanker(release).eval(), requests()[:2]
    wanted = score(ranker, asked, CPU)
    with np.errstate(all="ignore"):
        wild = {**asked[0], "hist_vec": asked[0]["hist_vec"] * np.float32(1e30)}
        wild["hist_index"] = np.full_like(wild["hist_index"], 5)
        answers = score(ranker, [wild, *asked], CPU)
    assert len(answers[0]) == len(wanted[0])
    for answer, one in zip(answers[1:], wanted, strict=True):
        np.testing.assert_allclose(answer, one, atol=1e-6)
