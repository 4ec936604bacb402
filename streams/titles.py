"""Titles of the catalogue's items for prompts: read from view `item_profile`, kept in memory, read again now and then.

The knowledge source looks into it on the event loop, so looking must not wait for Redis.
"""

from collections.abc import Iterator, Mapping, Sequence

from feature_repo.reader import FeatureReader


class OnlineTitles(Mapping[str, str]):
    """Item id -> title (untrusted text) of those `item_ids` that have a profile; empty before the first `load`."""

    def __init__(self, item_ids: Sequence[str]) -> None:
        self._ids = tuple(dict.fromkeys(item_ids))
        self._titles: dict[str, str] = {}

    def load(self, reader: FeatureReader) -> None:
        """Read all of them in one round trip; raises `TransientError` (what was known stays)."""
        rows = reader.read("item_profile", self._ids, ["item_title"]) if self._ids else []
        self._titles = {
            item: row["item_title"] for item, row in zip(self._ids, rows, strict=True) if row and row["item_title"]
        }

    @property
    def complete(self) -> bool:
        """Whether every item has a title."""
        return len(self._titles) == len(self._ids)

    def __getitem__(self, item_id: str) -> str:
        return self._titles[item_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._titles)

    def __len__(self) -> int:
        return len(self._titles)
