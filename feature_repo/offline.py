"""The offline store's rows: buffered, then plainly appended to one Lance data set per physical view."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa

from feature_repo.compactor import Compaction, compact, retried
from feature_repo.schema import JOIN_KEYS, Kind, View, physical_views
from knowledge.base import TransientError, check_id

_TIME = pa.timestamp("us", tz="UTC")
_ARROW = {
    Kind.STRING: pa.string(),
    Kind.INT: pa.int64(),
    Kind.STRINGS: pa.list_(pa.string()),
    Kind.FLOATS: pa.list_(pa.float32()),
}


def arrow_schema(view: View, slot: str | None) -> pa.Schema:
    """Columns of the data set of one physical view."""
    features = []
    for feature in view.features:
        kind = pa.list_(pa.float32(), feature.width) if feature.width else _ARROW[feature.kind]
        features.append((view.feature(feature.name, slot), kind))
    extra = [("state_json", pa.string())] if view.name == "user_history" else []
    return pa.schema(
        [
            (JOIN_KEYS[view.entity], pa.string()),
            ("event_timestamp", _TIME),
            ("created_timestamp", _TIME),
            *features,
            ("source_rev", pa.int64()),
            ("epoch", pa.int64()),
            ("write_id", pa.string()),
            ("release", pa.string()),
            ("written_at", _TIME),
            *extra,
        ]
    )


class OfflineBuffer:
    """Appends rows in batches: after `flush_rows` rows or `flush_s` seconds, or when `flush` is called.

    Nothing runs in the background: a row that nobody follows waits for `flush`. Several processes may append at once.
    Safe for several threads.
    """

    def __init__(
        self,
        folder: Path,
        flush_rows: int = 5000,
        flush_s: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder.absolute()
        self._flush_rows = flush_rows
        self._flush_s = flush_s
        self._now = now
        self._lock = threading.RLock()
        self._rows: dict[str, list[Mapping[str, Any]]] = {}
        self._count = 0
        self._oldest: float | None = None
        self._schemas = {name: arrow_schema(view, slot) for name, (view, slot) in physical_views().items()}

    def path(self, view: str) -> Path:
        """Folder of the data set of one physical view."""
        return self.folder / f"{view}.lance"

    def create(self) -> None:
        """Create the data sets that are missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for view, schema in self._schemas.items():
            if self.path(view).exists():
                continue
            try:
                lance.write_dataset(schema.empty_table(), str(self.path(view)), schema=schema, mode="create")
            except OSError as error:
                if "already exists" not in str(error):  # another process was faster: as good
                    raise

    def append(self, view: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Buffer rows of one physical view; may flush. Raises `TransientError` (`offline_unavailable`), keeps rows."""
        with self._lock:
            self._rows.setdefault(view, []).extend(rows)
            self._count += len(rows)
            if self._oldest is None:
                self._oldest = self._now()
            if self._count >= self._flush_rows or self._now() - self._oldest >= self._flush_s:
                self.flush()

    def flush(self) -> None:
        """Return when every buffered row is on disk. Raises `TransientError` (`offline_unavailable`), keeps rows."""
        with self._lock:
            for view in list(self._rows):
                rows = self._rows[view]
                if rows:
                    self._append(view, rows)
                    self._count -= len(rows)
                del self._rows[view]
            self._oldest = None

    def delete(self, entity: str, ids: Sequence[str], below_epoch: int | None = None) -> None:
        """Delete every row of these entities, buffered ones too; with `below_epoch` only rows of earlier lives."""
        key = JOIN_KEYS[entity]
        gone = {check_id(entity_id) for entity_id in ids}
        if not gone:
            return
        where = f"{key} IN ({', '.join(repr(entity_id) for entity_id in sorted(gone))})"
        if below_epoch is not None:
            where += f" AND epoch < {below_epoch:d}"
        with self._lock:
            for name, (view, _) in physical_views().items():
                if view.entity != entity:
                    continue
                buffered = self._rows.pop(name, [])
                kept = [
                    row
                    for row in buffered
                    if row[key] not in gone or (below_epoch is not None and row["epoch"] >= below_epoch)
                ]
                self._count -= len(buffered) - len(kept)
                if kept:
                    self._rows[name] = kept
                if self.path(name).exists():
                    path = str(self.path(name))
                    try:
                        retried(lambda path=path: lance.dataset(path).delete(where))  # type: ignore[misc]
                    except OSError as error:
                        raise _unavailable(f"delete rows of {name}", error) from error

    def newest(self, view: str, entity_id: str) -> dict[str, Any] | None:
        """The row with the highest (`epoch`, `source_rev`, event time) of one entity in a physical view, or None."""
        logical, _ = physical_views()[view]
        where = f"{JOIN_KEYS[logical.entity]} = '{check_id(entity_id)}'"
        if not self.path(view).exists():
            return None
        rows: list[dict[str, Any]] = lance.dataset(str(self.path(view))).to_table(filter=where).to_pylist()
        return max(rows, key=_order, default=None)

    def count(self, view: str) -> int:
        """How many rows of a physical view are on disk."""
        return int(lance.dataset(str(self.path(view))).count_rows()) if self.path(view).exists() else 0

    def compact(self, view: str, keep_versions_s: float = 600.0, purge: bool = False) -> Compaction:
        """Remove the doubles of one physical view, merge its files; see `feature_repo.compactor.compact`."""
        logical, _ = physical_views()[view]
        return compact(self.path(view), JOIN_KEYS[logical.entity], keep_versions_s, purge)

    def compact_all(self, keep_versions_s: float = 600.0, purge: bool = False) -> dict[str, Compaction]:
        """Compact every data set that exists, one after the other; by physical view."""
        return {view: self.compact(view, keep_versions_s, purge) for view in self._schemas if self.path(view).exists()}

    def close(self) -> None:
        """Flush."""
        self.flush()

    def _append(self, view: str, rows: Sequence[Mapping[str, Any]]) -> None:
        schema = self._schemas[view]
        table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)
        try:
            if not self.path(view).exists():
                self.create()
            lance.write_dataset(table, str(self.path(view)), mode="append")
        except OSError as error:
            raise _unavailable(f"take {len(rows)} rows of {view}", error) from error


def _order(row: Mapping[str, Any]) -> tuple[int, int, datetime]:
    # Rows that another team pushed carry neither epoch nor rev: they are older than any of ours.
    return (
        -1 if row["epoch"] is None else row["epoch"],
        -1 if row["source_rev"] is None else row["source_rev"],
        row["event_timestamp"],
    )


def _unavailable(what: str, error: OSError) -> TransientError:
    return TransientError("offline_unavailable", f"the offline store did not {what} ({error}): it is retried")
