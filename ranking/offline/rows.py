"""What the workers would have written, event by event, for one user of an old log. Pure; no torch, no Feast."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from encoders.expected import expected
from encoders.experienced import experienced_many
from encoders.history import effective
from encoders.statistics import user_statistics
from feature_repo.records import FeatureRow
from feature_repo.schema import DIM, FACTORS, HISTORY, RING, SLOTS
from knowledge.base import Action, Knowledge, TerminalError, micros
from knowledge.scenario import Scenario
from ranking.datasets.movielens import Rating
from ranking.offline.times import readable_times

Floats = npt.NDArray[np.float32]
SLOT = SLOTS[0]
Timed = tuple[FeatureRow, datetime]  # a row and its event time


@dataclass(frozen=True)
class Prestored:
    """A release's vectors: what the rows of users and items are made of."""

    release: str
    anchors: tuple[str, ...]
    item_vec: Mapping[str, Floats]  # item -> f32[F, d]
    item_summary: Mapping[str, Floats]  # item -> f32[32]
    user_summary: Mapping[str, Floats]  # user -> f32[32]


class _Entry(NamedTuple):
    item_id: str
    value: float
    polarity: str
    occurred_at: int
    offset: int
    rev: int


def user_rows(
    user_id: str,
    ratings: Sequence[Rating],
    records: Sequence[Knowledge],
    scenario: Scenario,
    prestored: Prestored,
    delay: timedelta = timedelta(0),
) -> Iterator[Timed]:
    """Rows of `user_history` and `user_experienced` after each of `ratings` (in order), and of `user_expected`.

    A record of `records` is readable with the rows of the last event that it has seen (its `source_rev`). Raises
    `TerminalError` (`bad_recorded`) for a record that has seen more events than there are, or none.
    """
    times = readable_times(ratings, delay)
    events = [
        _Entry(r.item_id, r.value, scenario.outcome(Action.RATE, r.value).polarity.value, micros(r.at), -1, rev)
        for rev, r in enumerate(ratings, start=1)
    ]
    states = [effective(events[max(rev - RING, 0) : rev]) for rev in range(1, len(events) + 1)]
    sums = experienced_many(states, prestored.item_vec, (FACTORS, DIM))
    for rev, (entries, total, at) in enumerate(zip(states, sums, times, strict=True), start=1):
        yield _history(entries, rev), at
        yield _experienced(entries, total, rev, prestored.release), at
    for record in records:
        if not 1 <= record.source_rev <= len(events):
            raise TerminalError(
                "bad_recorded", f"the record of {user_id} has seen {record.source_rev} of {len(events)} events"
            )
        seen = events[max(record.source_rev - RING, 0) : record.source_rev]
        yield _expected(user_id, record, seen, prestored), times[record.source_rev - 1]


def item_row(item_id: str, prestored: Prestored) -> FeatureRow:
    """Row of `item_vector`; the same for all time."""
    values = {"item_vec": prestored.item_vec[item_id].reshape(-1), "item_summary": prestored.item_summary[item_id]}
    return FeatureRow("item_vector", values, source_rev=0, release=prestored.release, slot=SLOT)


def _history(entries: Sequence[_Entry], rev: int) -> FeatureRow:
    shown = entries[:HISTORY]
    values = {
        "history_item_ids": [entry.item_id for entry in shown],
        "history_values": [entry.value for entry in shown],
        "history_through": entries[0].occurred_at,
    }
    return FeatureRow("user_history", values, source_rev=rev)


def _experienced(entries: Sequence[_Entry], total: Floats, rev: int, release: str) -> FeatureRow:
    statistics = user_statistics([entry.value for entry in entries], [entry.polarity for entry in entries])
    values = {"experienced_vec": total.reshape(-1), "experienced_stats": statistics}
    return FeatureRow("user_experienced", values, source_rev=rev, release=release, slot=SLOT)


def _expected(user_id: str, record: Knowledge, seen: Sequence[_Entry], prestored: Prestored) -> FeatureRow:
    own = {entry.item_id: entry.value for entry in effective(seen)}
    means, anchors = expected(record.expectations, own, prestored.item_vec, prestored.anchors, (FACTORS, DIM))
    values = {
        "expected_vec": np.ascontiguousarray(means, np.float32).reshape(-1),
        "expected_anchors": np.asarray(anchors, np.float32),
        "expected_summary": prestored.user_summary[user_id],
        "expected_source": f"{record.model}|{record.template_version}|{record.catalogue_version}",
    }
    return FeatureRow("user_expected", values, source_rev=record.source_rev, release=prestored.release, slot=SLOT)
