"""Item vectors for the stream worker: read through the feature reader, kept for a while. numpy only."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from feature_repo.schema import DIM, FACTORS

Vector = npt.NDArray[np.float32]


class VectorReader(Protocol):
    """The part of `feature_repo.reader.FeatureReader` that is used."""

    def read(self, view: str, ids: list[str], features: list[str], slot: str) -> list[dict[str, Any] | None]:
        """One dict per id; None = no row."""
        ...


class ItemVectors:
    """A bounded cache. An item without a vector is asked for again soon: it may get one any moment."""

    def __init__(
        self,
        reader: VectorReader,
        size: int,
        ttl_s: float,
        miss_ttl_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._size = size
        self._ttl_s = ttl_s
        self._miss_ttl_s = miss_ttl_s
        self._now = now
        # (slot, item) -> (good until, release, f32[F, d] or None)
        self._kept: OrderedDict[tuple[str, str], tuple[float, str, Vector | None]] = OrderedDict()

    def get(self, slot: str, item_ids: Iterable[str]) -> tuple[str, Mapping[str, Vector]]:
        """Release and vectors of those items that have one in `slot`, f32[F, d] each; one round trip at most.

        Vectors of different releases cannot be added: where a slot is being filled, the release of most of these
        items counts and the others have no vector yet.
        """
        wanted = set(item_ids)
        now = self._now()
        missing = [item for item in wanted if self._kept.get((slot, item), (-1.0, "", None))[0] <= now]
        if missing:
            rows = self._reader.read("item_vector", missing, ["item_vec", "item_release"], slot)
            for item, row in zip(missing, rows, strict=True):
                self._keep(slot, item, row, now)
        found = [(item, *self._kept[slot, item][1:]) for item in wanted]
        self._evict()
        releases = Counter(release for _, release, vector in found if vector is not None)
        if not releases:
            return "", {}
        release = max(releases, key=lambda name: (releases[name], name))
        return release, {item: vector for item, its, vector in found if vector is not None and its == release}

    def _keep(self, slot: str, item: str, row: dict[str, Any] | None, now: float) -> None:
        key = (slot, item)
        self._kept.pop(key, None)
        if row is None or row["item_vec"] is None or len(row["item_vec"]) != FACTORS * DIM:
            self._kept[key] = (now + self._miss_ttl_s, "", None)
        else:
            vector = np.array(row["item_vec"], dtype=np.float32).reshape(FACTORS, DIM)
            self._kept[key] = (now + self._ttl_s, str(row["item_release"]), vector)

    def _evict(self) -> None:
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
