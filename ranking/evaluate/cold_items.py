"""Cold items: a tenth of the items as if nobody had rated them before a test user does.

Their samples are in neither training nor validation, their ids in no vocabulary, and with that their ratings in no
collaborative table and no item statistic. In histories they stay, as unknown items with their knowledge vectors: a
user's own events are the user's. Texts are those of all items, as a catalogue has them before the first rating.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranking.datasets.movielens import MovieLens
from ranking.fold import Fold, FoldMaterial, build_material
from ranking.sources import Sources

SHARE = 0.1
STRATA = 10
COLD_SEED = 20261126


@dataclass(frozen=True)
class ColdSources(Sources):
    """Sources in whose vocabulary `cold` is not; every table of ratings goes by the vocabulary."""

    cold: frozenset[str]

    def vocabulary(self, training: Collection[str]) -> dict[str, int]:
        """Index of each item that is not cold and that training users touched, from 2."""
        warm = (item for item in super().vocabulary(training) if item not in self.cold)
        return {item: index for index, item in enumerate(warm, start=2)}


def cold_items(data: MovieLens, share: float = SHARE) -> frozenset[str]:
    """A `share` of the items of each tenth by number of ratings, the same for all folds; values are not looked at."""
    counts = dict.fromkeys(data.items, 0)
    for rating in data.ratings:
        counts[rating.item_id] += 1
    ordered = sorted(data.items, key=lambda item: counts[item])  # stable: ties in the order of the data set
    draw = np.random.default_rng(COLD_SEED)
    chosen: list[str] = []
    for stratum in np.array_split(np.arange(len(ordered)), STRATA):
        size = round(share * len(stratum))
        chosen += [ordered[place] for place in draw.choice(stratum, size, replace=False)]
    return frozenset(chosen)


def build_cold(sources: Sources, encodings: Path, fold: Fold) -> FoldMaterial:
    """A fold's material in which the cold items are new; `test` has them, `train` and `valid` do not."""
    material = build_material(ColdSources(sources.data, sources.store, cold_items(sources.data)), encodings, fold)
    new = cold_rows(sources.data)[material.item.numpy()]
    train, valid = (part[~new[part]] for part in (material.train, material.valid))
    return replace(material, train=train, valid=valid)


def cold_rows(data: MovieLens) -> npt.NDArray[np.bool_]:
    """Whether each item row (0 = padding, 1 = the data set's first item) is a cold item's."""
    cold = cold_items(data)
    return np.array([False, *(item in cold for item in data.items)])
