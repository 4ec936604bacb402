"""The ring of a user's newest events before each of their samples, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from encoders.history import effective
from ranking.datasets.movielens import Rating


@dataclass(frozen=True)
class Ring:
    """Effective entries of n samples, newest first, padded at the end (item 0)."""

    item: npt.NDArray[np.int16]  # [n, N] item rows
    value: npt.NDArray[np.float32]  # [n, N]
    side: npt.NDArray[np.int8]  # [n, N] 1 liked, 0 neutral, -1 disliked

    @classmethod
    def joined(cls, parts: Sequence["Ring"]) -> "Ring":
        """The samples of all parts, one after the other."""
        return cls(
            np.concatenate([part.item for part in parts]),
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.side for part in parts]),
        )


class _Place(NamedTuple):
    item_id: str
    value: float
    polarity: str
    occurred_at: int
    offset: int
    rev: int


def seen_before(ratings: Sequence[Rating], page_blind: bool) -> list[int]:
    """How many of `ratings` (in order of time) each of them may see: all before it, or all of earlier seconds."""
    if not page_blind:
        return list(range(len(ratings)))
    ends: list[int] = []
    for place, rating in enumerate(ratings):
        same = place > 0 and ratings[place - 1].at == rating.at
        ends.append(ends[-1] if same else place)
    return ends


def rings(
    ratings: Sequence[Rating], sides: Sequence[int], rows: Mapping[str, int], ends: Sequence[int], ring_size: int
) -> Ring:
    """For each of `ends` the ring of the `ring_size` newest of the first so many `ratings` (in order of time).

    As in the online state, the ring is the newest events; an item that was rated again counts once, newest.
    """
    item = np.zeros((len(ends), ring_size), dtype=np.int16)
    value = np.zeros((len(ends), ring_size), dtype=np.float32)
    side = np.zeros((len(ends), ring_size), dtype=np.int8)
    own_rows = np.array([rows[rating.item_id] for rating in ratings], dtype=np.int16)
    own_values = np.array([rating.value for rating in ratings], dtype=np.float32)
    own_sides = np.array(sides, dtype=np.int8)
    repeats = len(set(own_rows.tolist())) < len(ratings)
    for sample, end in enumerate(ends):
        newest = list(range(end - 1, max(end - ring_size, 0) - 1, -1))
        if repeats:
            entries = [_Place(ratings[p].item_id, 0.0, "", int(ratings[p].at.timestamp()), -1, p) for p in newest]
            newest = [entry.rev for entry in effective(entries)]
        places = np.array(newest, dtype=np.int64)
        length = len(places)
        item[sample, :length] = own_rows[places]
        value[sample, :length] = own_values[places]
        side[sample, :length] = own_sides[places]
    return Ring(item, value, side)
