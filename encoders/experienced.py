"""The *experienced* tier: sums of item-knowledge vectors over what a user liked and disliked. numpy only.

Always recomputed from the ring, never accumulated: exact, free of arrival order, reversible, rebuildable.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from encoders.history import Entry

Vector = npt.NDArray[np.float32]

LIKED, DISLIKED = 0, 1  # rows of the result
_SIDE = {"liked": LIKED, "disliked": DISLIKED}  # a neutral entry is in neither sum


def experienced(
    entries: Sequence[Entry], vectors: Mapping[str, Vector], shape: tuple[int, int] = (9, 16)
) -> npt.NDArray[np.float32]:
    """Sums of the vectors of one user's liked and disliked items.

    `entries` are effective entries (`encoders.history.effective`), `vectors` maps an item id to f32[F, d];
    an item without a vector (unknown to the release, or not written yet) does not count until it has one.
    `shape` = (F, d). Returns f32[2, F, d]: liked, disliked.
    """
    sums: npt.NDArray[np.float32] = experienced_many([entries], vectors, shape)[0]
    return sums


def experienced_many(
    users: Sequence[Sequence[Entry]], vectors: Mapping[str, Vector], shape: tuple[int, int] = (9, 16)
) -> npt.NDArray[np.float32]:
    """`experienced` of many users at once, bit for bit the same: f32[U, 2, F, d].

    Vectors are added in the order of `rev`, one after the other, so that a rebuilt sum equals the streamed one.
    """
    rows: dict[str, int] = {}
    known: list[Vector] = []
    item: list[int] = []
    group: list[int] = []
    rev: list[int] = []
    for number, entries in enumerate(users):
        for entry in entries:
            side = _SIDE.get(entry.polarity)
            if side is None:
                continue
            item_id = entry.item_id
            row = rows.get(item_id)
            if row is None:
                vector = vectors.get(item_id)
                row = rows[item_id] = -1 if vector is None else len(known)
                if vector is not None:
                    known.append(vector)
            if row >= 0:
                item.append(row)
                group.append(2 * number + side)
                rev.append(entry.rev)
    width = shape[0] * shape[1]
    sums = np.zeros((2 * len(users), width), dtype=np.float32)
    if item:
        groups = np.asarray(group)
        order = np.lexsort((np.asarray(rev), groups))
        groups = groups[order]
        table = np.stack(known).reshape(len(known), width).astype(np.float32, copy=False)
        starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
        sums[groups[starts]] = np.add.reduceat(table[np.asarray(item)[order]], starts, axis=0)
    return sums.reshape(len(users), 2, *shape)
