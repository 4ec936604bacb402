"""Item rows in this process: bounded, with a time to live, in a few large arrays so that a lookup is one gather."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import numpy.typing as npt

# An item without a row is asked for again so soon: its vector may be written any moment.
_ABSENT_TTL_S = 1.0


@dataclass(frozen=True)
class ItemRows:
    """Rows of n items.

    `vec` f32[n, F * d] and `summary` f32[n, K] are zero where `bits` says that they may not be used; `index` i32[n]
    is the place in the release's vocabulary (0 = padding, 1 = unknown); `bits` u8[n] are the item's fallback bits.
    """

    vec: npt.NDArray[np.float32]
    summary: npt.NDArray[np.float32]
    index: npt.NDArray[np.int32]
    bits: npt.NDArray[np.uint8]

    @staticmethod
    def empty(rows: int, width: int, summary: int) -> "ItemRows":
        """Zeroed rows; memory is taken as it is used."""
        return ItemRows(
            np.zeros((rows, width), np.float32),
            np.zeros((rows, summary), np.float32),
            np.zeros(rows, np.int32),
            np.zeros(rows, np.uint8),
        )

    def copy_to(self, target: "ItemRows", source_rows: npt.NDArray[np.intp], rows: npt.NDArray[np.intp]) -> None:
        """Copy some rows into some rows of `target`."""
        target.vec[rows] = self.vec[source_rows]
        target.summary[rows] = self.summary[source_rows]
        target.index[rows] = self.index[source_rows]
        target.bits[rows] = self.bits[source_rows]


class ItemCache:
    """At most `capacity` rows; the oldest make room. For one thread. `capacity` 0 keeps nothing."""

    def __init__(self, capacity: int, ttl_s: float, width: int, summary: int, absent_bit: int) -> None:
        self._capacity = capacity
        self._ttl_s = ttl_s
        self._absent_bit = absent_bit
        # Slot 0 stays empty and expired: it is what an unknown id points to.
        self._rows = ItemRows.empty(capacity + 1, width, summary)
        self._expires = np.zeros(capacity + 1, np.float64)
        self._slot: dict[bytes, int] = {}
        self._owner: list[bytes | None] = [None] * (capacity + 1)
        self._next = 1

    def __len__(self) -> int:
        return len(self._slot)

    def fill(self, ids: Sequence[bytes], target: ItemRows, start: int, now: float) -> npt.NDArray[np.intp]:
        """Copy what is known of `ids` to the rows of `target` from `start` on; returns the positions that are missing.

        `now` in seconds, of any steady clock.
        """
        slots = np.array(list(map(self._slot.get, ids, repeat(0))), np.intp)
        fresh = self._expires[slots] > now
        if fresh.all():
            here = np.arange(start, start + len(ids), dtype=np.intp)
            self._rows.copy_to(target, slots, here)
            return here[:0]
        here = np.flatnonzero(fresh)
        self._rows.copy_to(target, slots[here], here + start)
        return np.flatnonzero(~fresh)

    def store(self, ids: Sequence[bytes], source: ItemRows, rows: npt.NDArray[np.intp], now: float) -> None:
        """Keep `rows` of `source`, the items `ids`; the newest where there is not room for all."""
        if not self._capacity or not ids:
            return
        ids, rows = ids[-self._capacity :], rows[-self._capacity :]
        slots = np.array(list(map(self._claim, ids)), np.intp)
        source.copy_to(self._rows, rows, slots)
        absent = (source.bits[rows] & self._absent_bit) != 0
        self._expires[slots] = now + np.where(absent, min(_ABSENT_TTL_S, self._ttl_s), self._ttl_s)

    def _claim(self, item_id: bytes) -> int:
        slot = self._slot.get(item_id)
        if slot is not None:
            return slot
        slot = self._next
        self._next = 1 if slot == self._capacity else slot + 1
        evicted = self._owner[slot]
        if evicted is not None:
            del self._slot[evicted]
        self._owner[slot] = item_id
        self._slot[item_id] = slot
        return slot
