"""Titles of the LLM's catalogue, as the online store has them."""

import time
from collections.abc import Iterator, Mapping, Sequence

from feature_repo.reader import FeatureReader

_AGAIN_S = 10.0


class CatalogueTitles(Mapping[str, str]):
    """Item id -> title of those catalogue items that are in the online store.

    Read in one call at the first look, and again from time to time while some are missing: items may be loaded after
    the worker has started. One caller thread.
    """

    def __init__(self, reader: FeatureReader, item_ids: Sequence[str]) -> None:
        self._reader = reader
        self._missing = list(dict.fromkeys(item_ids))
        self._titles: dict[str, str] = {}
        self._read_at: float | None = None

    def _known(self) -> dict[str, str]:
        now = time.monotonic()
        if self._missing and (self._read_at is None or now - self._read_at > _AGAIN_S):
            rows = self._reader.read("item_profile", self._missing, ["item_title"])
            found = {item: row["item_title"] for item, row in zip(self._missing, rows, strict=True) if row is not None}
            self._titles.update(found)
            self._missing = [item for item in self._missing if item not in found]
            self._read_at = now
        return self._titles

    def __getitem__(self, item_id: str) -> str:
        return self._known()[item_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())
