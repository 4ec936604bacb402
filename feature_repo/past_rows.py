"""Rows of the past, for training from old logs: offline only, with the event time that they would have had.

A live system is never filled this way: there the event time is when the row became readable (`FeatureWriter`).
"""

from datetime import datetime
from typing import Any

from feature_repo.records import FeatureRow, view_named
from feature_repo.schema import JOIN_KEYS
from feature_repo.values import check_row, physical_values
from knowledge.base import check_id, from_micros


def past_row(
    entity: str, entity_id: str, row: FeatureRow, event_time: datetime, written_at: int
) -> tuple[str, dict[str, Any]]:
    """Physical view and offline row, checked as the writer checks; event time and creation time are the same.

    `written_at` µs is the wall clock of the backfill. Raises `TerminalError` (`bad_row`, `bad_id`).
    """
    view = view_named(row.view)
    checked = check_row(row, entity, written_at)
    offline: dict[str, Any] = {
        JOIN_KEYS[entity]: check_id(entity_id),
        "event_timestamp": event_time,
        "created_timestamp": event_time,
        **physical_values(row, checked),
        "source_rev": row.source_rev,
        "epoch": 0,
        "write_id": row.write_id,
        "release": row.release,
        "written_at": from_micros(written_at),
        **row.extra,
    }
    return view.physical(row.slot), offline
