"""The first order of the lists: logits of a DIN without knowledge, in which no rating of a fold's test users is.

A fold's test users are scored by the DIN of its training users, as in the comparison of click models. All others need
one that has seen neither their own ratings nor those of the fold's test users: a DIN trained without the test users of
two folds scores the users of each for the other one. That makes five and ten trainings for all folds together.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ranking.datasets.movielens import MovieLens
from ranking.evaluate.list_inputs import all_samples, list_ids, lists_of
from ranking.evaluate.lists import KINDS, Kind
from ranking.evaluate.metrics import Floats, Numbers
from ranking.evaluate.store import put, take
from ranking.evaluate.version import code_version, data_version
from ranking.fold import FOLD_SEED, FOLDS, FoldMaterial, fold_users
from ranking.inputs import Samples, index_of
from ranking.sources import Sources
from ranking.split import UserSplit
from ranking.variants import VARIANTS, train_variant

_BASE = ("din", "plain")


def base_scores(sources: Sources, data: Path, cache: Path) -> dict[Kind, Floats]:
    """Logits of all lists for each fold, f32[FOLDS, n, L] per kind; trained once and kept in `cache`."""
    code = code_version(["ranking.evaluate.base_order", "ranking.backbones.din"])
    path = cache / f"base-{data_version([data])}-{code}.npz"
    with _alone(cache / "base.lock"):
        if not path.exists():
            put(path, _score_lists(sources))
    kept = take(path)
    return {kind: kept[kind] for kind in KINDS}


def users_without(data: MovieLens, left_out: tuple[int, ...]) -> UserSplit:
    """Users of a DIN that leaves out these folds' test users (one or two folds); `test` holds those."""
    if len(left_out) == 1:
        return fold_users(data, left_out[0])
    test = {user for fold in left_out for user in fold_users(data, fold).test}
    rest = [user for user in data.by_user() if user not in test]
    order = np.random.default_rng([FOLD_SEED, *left_out]).permutation(len(rest))
    valid = {rest[place] for place in order[: len(rest) // 10]}
    return UserSplit(tuple(user for user in rest if user not in valid), tuple(sorted(valid)), tuple(sorted(test)))


def _score_lists(sources: Sources) -> dict[str, Floats]:
    samples = all_samples(sources)
    all_lists = {kind: lists_of(sources, samples, kind) for kind in KINDS}
    scores = {kind: np.zeros((FOLDS, *lists.item.shape), np.float32) for kind, lists in all_lists.items()}
    rows = {user: row for row, user in enumerate(samples.users)}
    tested = [[rows[user] for user in fold_users(sources.data, fold).test if user in rows] for fold in range(FOLDS)]
    for left_out in (*((fold,) for fold in range(FOLDS)), *combinations(range(FOLDS), 2)):
        users = users_without(sources.data, left_out)
        vocabulary = sources.vocabulary(users.train)
        index = index_of(samples.items, vocabulary)
        # (fold for which they are scored, numbers of lists): in a pair, each scores the other's users.
        asked = [
            (kind, fold, np.flatnonzero(np.isin(lists.user, tested[whose])))
            for kind, lists in all_lists.items()
            for fold, whose in zip(left_out, reversed(left_out), strict=True)
        ]
        more = [_one_by_one(list_ids(samples, all_lists[kind], index), numbers) for kind, _, numbers in asked]
        logits = train_variant(_material(samples, users, index, len(vocabulary) + 2, more), *_BASE, 0).test
        start = 0
        for kind, fold, numbers in asked:
            size = len(numbers) * scores[kind].shape[2]
            scores[kind][fold, numbers] = logits[start : start + size].reshape(len(numbers), -1)
            start += size
    return {str(kind): values for kind, values in scores.items()}


def _one_by_one(ids: dict[str, Tensor], numbers: Numbers) -> dict[str, Tensor]:
    """The items of these lists as samples of one candidate each."""
    chosen, length = torch.from_numpy(numbers), ids["item_index"].shape[1]
    return {
        name: tensor[chosen].reshape(-1, 1)
        if name.startswith("item_")
        else tensor[chosen].repeat_interleave(length, dim=0)
        for name, tensor in ids.items()
    }


def _material(
    samples: Samples, users: UserSplit, index: Tensor, vocabulary: int, more: list[dict[str, Tensor]]
) -> FoldMaterial:
    """All samples without any column of the head, and `more` as test samples; the label and user of those are 0."""
    own = samples.ids(np.arange(len(samples)), index, VARIANTS[_BASE[1]].history)
    ids = {
        name: torch.cat([tensor, *(part[name][:, : tensor.shape[1]].to(tensor.dtype) for part in more)])
        for name, tensor in own.items()
    }
    total = len(ids["item_index"])
    fill = torch.zeros(total - len(samples), dtype=torch.int64)
    return FoldMaterial(
        name="base",
        page_blind=False,
        users=samples.users,
        vocabulary=vocabulary,
        user=torch.cat([torch.from_numpy(samples.user), fill]),
        item=torch.cat([torch.from_numpy(samples.item), fill]),
        label=torch.cat([torch.from_numpy(samples.label), fill.float()]),
        since=torch.cat([torch.from_numpy(samples.since), fill]),
        ids=ids,
        columns={},
        item_vec=torch.zeros(1, 1, 1),
        users_projected=torch.zeros(len(samples.users), 1, 1),
        train=samples.of(users.train),
        valid=samples.of(users.valid),
        test=np.arange(len(samples), total),
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
