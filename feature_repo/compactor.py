"""Keeps the offline store small: removes doubles, merges small files, lets old versions go."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import lance

from knowledge.base import TransientError

_ROWS_PER_FRAGMENT = 1_000_000
_IDS_PER_DELETE = 5_000
_TRIES = 8

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Compaction:
    """What one run did to one data set."""

    rows: int
    doubles_removed: int
    fragments_before: int
    fragments_after: int
    versions_removed: int


def compact(path: Path, key: str, keep_versions_s: float, purge: bool = False) -> Compaction:
    """Compact one data set; appends by others go on meanwhile. One run at a time per data set on this machine.

    A double is a row with the entity, event time, `source_rev` and `write_id` of another: a writer that was stopped
    between its online and its offline step writes the row again. The last one stays: its `state_json` has seen more.
    Rows pushed by other teams carry no write id and are never doubles. `purge` takes deleted rows out of the files
    too, which erasure needs; without it only files that are more than a tenth deleted are rewritten.
    """
    with _alone(path):
        before = len(lance.dataset(str(path)).get_fragments())
        doubles = retried(lambda: _remove_doubles(path, key))
        retried(
            lambda: lance.dataset(str(path)).optimize.compact_files(
                target_rows_per_fragment=_ROWS_PER_FRAGMENT,
                materialize_deletions=True,
                materialize_deletions_threshold=0.0 if purge else 0.1,
            )
        )
        dataset = lance.dataset(str(path))
        stats = dataset.cleanup_old_versions(older_than=timedelta(seconds=keep_versions_s))
        return Compaction(dataset.count_rows(), doubles, before, len(dataset.get_fragments()), int(stats.old_versions))


def retried(step: Callable[[], Answer]) -> Answer:
    """Run a step that commits to Lance; run it again, on the newest version, when somebody else committed first."""
    for attempt in range(_TRIES):
        try:
            return step()
        except OSError as error:
            if "conflict" not in str(error).lower():
                raise
            last = error
            time.sleep(0.02 * 2**attempt)
    raise TransientError(
        "offline_unavailable", f"other writers committed first {_TRIES} times ({last}): try again later"
    ) from last


def _remove_doubles(path: Path, key: str) -> int:
    dataset = lance.dataset(str(path))
    rows = dataset.to_table(
        columns=[key, "event_timestamp", "source_rev", "write_id"], filter="write_id IS NOT NULL", with_row_id=True
    ).to_pandas()
    doubled = rows.duplicated([key, "event_timestamp", "source_rev", "write_id"], keep="last")
    ids = rows.loc[doubled, "_rowid"].tolist()
    for start in range(0, len(ids), _IDS_PER_DELETE):
        part = ", ".join(map(str, ids[start : start + _IDS_PER_DELETE]))
        # On the version that was read: if row ids have moved since, Lance refuses the commit.
        dataset.delete(f"_rowid IN ({part})")
    return len(ids)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TransientError(
                "offline_busy", f"{path.name} is being compacted by another process: nothing to do"
            ) from None
        yield
