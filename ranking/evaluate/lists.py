"""Lists to rerank: up to four real next interactions of a user among items that the user never rates, shuffled.

The order of a user's samples is cut into runs of four; each run makes one list of ten. A liked item has label 1; a
disliked one and one that was never rated have 0. Lists depend on the data and on the seed here alone, not on the
fold, so that every model sees the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ranking.evaluate.metrics import Floats, Numbers

Kind = Literal["popularity", "uniform"]  # how the items that the user never rates are drawn
KINDS: tuple[Kind, ...] = ("popularity", "uniform")
LENGTH, REAL, MOST = 10, 4, 7  # items of a list, real ones at most, places that metrics look at
LIST_SEED = 20261126


@dataclass(frozen=True)
class Lists:
    """n lists of `LENGTH` items."""

    user: Numbers  # [n] row of the user
    sample: Numbers  # [n] number of the first real interaction's sample: its inputs are those of the list
    item: Numbers  # [n, LENGTH] rows of the items
    label: Floats  # [n, LENGTH] 1 = will be liked


def build_lists(
    user: Numbers, item: Numbers, label: Floats, rated: Mapping[int, Sequence[int]], counts: Numbers, kind: Kind
) -> Lists:
    """From samples in the order of users and time.

    `rated`: item rows that a user row ever rates, history included; `counts` [R]: ratings of each item row (row 0 is
    padding and never drawn). Raises ValueError if a user leaves too few items to draw from.
    """
    users: list[int] = []
    firsts: list[int] = []
    items: list[npt.NDArray[np.int64]] = []
    labels: list[npt.NDArray[np.float32]] = []
    for row in np.unique(user):
        draw = np.random.default_rng([LIST_SEED, KINDS.index(kind), int(row)])
        weights = np.ones(len(counts)) if kind == "uniform" else counts.astype(np.float64)
        weights[0] = 0.0
        weights[list(rated[int(row)])] = 0.0
        if np.count_nonzero(weights) < LENGTH:
            raise ValueError(f"user row {row} leaves fewer than {LENGTH} items to draw from")
        own = np.flatnonzero(user == row)
        for start in range(0, len(own), REAL):
            real = own[start : start + REAL]
            others = draw.choice(len(counts), LENGTH - len(real), replace=False, p=weights / weights.sum())
            order = draw.permutation(LENGTH)
            users.append(int(row))
            firsts.append(int(real[0]))
            items.append(np.concatenate([item[real], others])[order])
            labels.append(np.concatenate([label[real], np.zeros(len(others), np.float32)])[order])
    return Lists(np.array(users), np.array(firsts), np.stack(items), np.stack(labels).astype(np.float32))


def list_metrics(label: Floats, score: Floats) -> tuple[Floats, Floats]:
    """MAP@7 and NDCG@7 of each list, [n] each; NaN for a list in which nothing is liked. Ties stand as handed over.

    AP@7 is divided by min(liked, 7), so a perfect order has 1.
    """
    order = np.argsort(-score, axis=1, kind="stable")[:, :MOST]
    hit = np.take_along_axis(label, order, axis=1).astype(np.float64)
    liked = label.sum(1).astype(int)
    place = np.arange(1, hit.shape[1] + 1)
    discount = 1.0 / np.log2(place + 1.0)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(liked, MOST)]
    average = (np.cumsum(hit, axis=1) / place * hit).sum(1)
    none = liked == 0
    with np.errstate(invalid="ignore"):
        precision, gain = average / np.minimum(liked, MOST), hit @ discount / ideal
    precision[none] = gain[none] = np.nan
    return precision, gain
