"""One fold's training material: all inputs of all samples, computed once, with everything fitted on training users.

Folds 0 to 4 test each user once; "design" is the seed-1234 split with which anchors, shortlist and inputs were chosen;
"time" trains on the past of all users and tests on what came later (`ranking.time_fold`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from encoders.hein import Hein, HeinShape, centre
from encoders.sentence import resolve_encoder_id
from knowledge.base import Knowledge
from knowledge.scenario import load_scenario
from ranking import fold_cache
from ranking.collaborative import RANK
from ranking.columns import Columns, fill, set_anchors, without_own_ratings
from ranking.datasets.movielens import MovieLens
from ranking.fold_parts import FoldParts
from ranking.head import MatchingHead, widths
from ranking.inputs import Ints, Samples, build_samples, index_of
from ranking.shape import RankerShape
from ranking.sources import TITLE_FACTORS, Sources, encode_texts, encode_titles, item_space
from ranking.split import UserSplit, split_users
from ranking.time_fold import time_parts

HISTORY, RING = 50, 100  # H and N
FOLDS = 5
FOLD_SEED = 20261125
Fold = int | Literal["design", "time"]

_CONTROL = (
    *("expected", "anchors_level", "anchors_knowledge", "anchors_collaborative", "anchors_itself"),
    "anchored",
)
_TITLE = ("experienced_mean", "neighbourhood_mean", "taste_knowledge", "taste")


@dataclass(frozen=True)
class FoldMaterial:
    """Inputs of n samples of U users over R item rows (row 0 = padding), ready for training."""

    name: str  # "0" to "4", "design", "time"
    page_blind: bool  # inputs see only events of earlier seconds
    users: tuple[str, ...]  # ids of the U users
    vocabulary: int  # item indices, padding and unknown included
    user: Tensor  # i64[n] row of the user
    item: Tensor  # i64[n] row of the candidate
    label: Tensor  # f32[n] 1 = liked
    since: Tensor  # i64[n] events since the frozen knowledge
    ids: Mapping[str, Tensor]  # the ranker's tensors that are no vectors, of all n samples
    columns: Mapping[str, Tensor]  # raw columns f16[n, width] of the head's groups, and of "title_" and "control_" ones
    item_vec: Tensor  # f32[R, F, d]
    users_projected: Tensor  # f32[U, F, d] of the users' factor texts
    train: Ints  # numbers of samples
    valid: Ints
    test: Ints

    def user_ids(self, numbers: Ints) -> list[str]:
        """User of each of these samples."""
        return [self.users[row] for row in self.user[torch.from_numpy(numbers)].tolist()]


def fold_users(data: MovieLens, fold: Fold) -> UserSplit:
    """Users who train, validate (a tenth of those who do not test) and test; a ValueError for "time"."""
    users = list(data.by_user())
    if fold == "design":
        return split_users(users)
    if fold == "time":
        raise ValueError("the fold time parts samples, and no users")
    if not 0 <= fold < FOLDS:
        raise ValueError(f"fold {fold}: there are 0 to {FOLDS - 1}, and design")
    order = np.random.default_rng(FOLD_SEED).permutation(len(users))
    test = order[fold::FOLDS]
    rest = np.random.default_rng([FOLD_SEED, fold]).permutation(np.setdiff1d(order, test))
    valid, train = rest[: len(rest) // 10], rest[len(rest) // 10 :]
    return UserSplit(*(tuple(users[place] for place in sorted(part)) for part in (train, valid, test)))


def build_fold(
    data_folder: Path | str,
    encodings_folder: Path | str,
    cache_folder: Path | str | None,
    fold: Fold,
    page_blind: bool = False,
    dim: int = 16,
) -> FoldMaterial:
    """Build a fold's material, or read it from `cache_folder`; a changed input or a damaged file builds anew.

    `dim` is d, the width of a factor's vector. Raises `TerminalError` for missing or damaged data.
    """
    path = None
    if cache_folder is not None:
        key = _key(Path(data_folder), str(fold), page_blind, dim)
        path = Path(cache_folder) / f"fold-{fold}{'-page-blind' if page_blind else ''}-{key}.safetensors"
        if (known := fold_cache.read(path)) is not None:
            return known
    material = build_material(Sources.load(data_folder), Path(encodings_folder), fold, page_blind, dim)
    if path is not None:
        fold_cache.write(path, material)
    return material


def build_material(
    sources: Sources,
    encodings: Path,
    fold: Fold,
    page_blind: bool = False,
    dim: int = 16,
    controls: bool = True,
) -> FoldMaterial:
    """A fold's material from `sources`, whose knowledge may be another than the recorded one.

    Without `controls` the columns `control_...` and `title_...` are missing: half of the time.
    """
    anchors = sources.store.catalogue.anchors
    scenario = load_scenario("films")

    def rows(known: Mapping[str, Knowledge]) -> Samples:
        return build_samples(sources.data, known, anchors, scenario, RING, page_blind)

    samples = rows(sources.store.users())
    parts = time_parts(sources, samples) if fold == "time" else _user_parts(sources, samples, fold)
    texts = encode_texts(sources, samples.users, encodings)
    space = item_space(texts.items, dim)
    vocabulary = parts.known.vocabulary(parts.rated)
    index = index_of(samples.items, vocabulary)

    shape = RankerShape(
        len(vocabulary) + 2, space.shape[1], dim, anchors=len(anchors), groups=tuple(widths(1)), collaborative=RANK
    )
    head = MatchingHead(shape)
    set_anchors(head, sources, parts.told, vocabulary, space)
    if controls:
        swapped = rows(_others(sources, parts.alike))
        swapped = replace(samples, likes=swapped.likes, anchors=swapped.anchors)
        title = item_space(encode_titles(sources, encodings), dim)
        title_head = MatchingHead(replace(shape, factors=len(TITLE_FACTORS)))

    columns: Columns = {}
    for users in without_own_ratings(head, parts.known, parts.rated, parts.others, vocabulary, space):
        numbers = samples.of(users)
        fill(columns, head, samples, space, index, numbers, HISTORY, head.groups)
        if not controls:
            continue
        fill(columns, head, swapped, space, index, numbers, HISTORY, _CONTROL, "control_")
        title_head.load_state_dict(head.state_dict() | _own(title_head))
        fill(columns, title_head, samples, title, index, numbers, HISTORY, _TITLE, "title_")

    return FoldMaterial(
        str(fold),
        page_blind,
        samples.users,
        len(vocabulary) + 2,
        torch.from_numpy(samples.user),
        torch.from_numpy(samples.item),
        torch.from_numpy(samples.label),
        torch.from_numpy(samples.since),
        samples.ids(np.arange(len(samples)), index, HISTORY),
        columns,
        space,
        _users_projected(texts.items, texts.users, samples, parts.told, dim),
        parts.train,
        parts.valid,
        parts.test,
    )


def _user_parts(sources: Sources, samples: Samples, fold: Fold) -> FoldParts:
    split = fold_users(sources.data, fold)
    alike = split.train, split.valid, split.test
    others = (*split.valid, *split.test)
    return FoldParts(sources, split.train, others, split.train, alike, *(samples.of(part) for part in alike))


def _own(title_head: MatchingHead) -> dict[str, Tensor]:
    """What the head over titles does not take over: sizes differ, and nothing is compared with anchors there."""
    return {
        name: t for name, t in title_head.state_dict().items() if name in ("anchor_vec", "told_taste", "mean", "scale")
    }


def _users_projected(
    items: tuple[Tensor, Tensor], users: tuple[Tensor, Tensor], samples: Samples, told: Sequence[str], dim: int
) -> Tensor:
    training = torch.from_numpy(np.isin(np.array(samples.users), np.array(told)))
    hein = Hein(HeinShape(factors=items[0].shape[1], text_dim=items[0].shape[2], dim=dim))
    hein.fit_space(*items, users[0][training], users[1][training])
    with torch.no_grad():
        return hein.project(centre(users[0], hein.user_mean, users[1]))


def _others(sources: Sources, parts: Sequence[Sequence[str]]) -> dict[str, Knowledge]:
    """For each user the expectations of another one of the same part, the nearest in the mean of the first ratings."""
    known, by_user = sources.store.users(), sources.data.by_user()
    swapped: dict[str, Knowledge] = {}
    for part in parts:
        users = [user for user in part if user in known]
        means = np.array([np.mean([r.value for r in by_user[u][: known[u].source_rev]]) for u in users])
        for place, user in enumerate(users):
            distance = np.abs(means - means[place])
            distance[place] = np.inf
            other = users[int(distance.argmin())] if len(users) > 1 else user
            swapped[user] = known[user].model_copy(update={"expectations": known[other].expectations})
    return swapped


def _key(data: Path, fold: str, page_blind: bool, dim: int) -> str:
    """Hash of what the material is made from: data, knowledge, encoder, and the code that computes it."""
    room = Path(__file__).parent
    code = (
        "collaborative",
        "columns",
        "fold",
        "fold_cache",
        "fold_parts",
        "head",
        "inputs",
        "matching",
        "regression",
        "ring",
        "sources",
        "split",
        *(("time_fold",) if fold == "time" else ()),
    )
    knowledge = sorted((room.parent / "knowledge" / "data" / "ml-100k").glob("*.json*"))
    encoding = ("condense", "expected", "experienced", "hein", "history", "statistics")
    content = hashlib.sha256(f"{fold} {page_blind} {dim} {resolve_encoder_id()}".encode())
    for file in [
        *sorted(p for p in data.glob("*") if p.is_file()),
        *knowledge,
        *(room / f"{name}.py" for name in code),
        *(room.parent / "encoders" / f"{name}.py" for name in encoding),
    ]:
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()[:12]
