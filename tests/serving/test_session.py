"""A session event counts in an answer exactly as if the stream worker had written it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from encoders.experienced import experienced
from encoders.history import effective
from encoders.statistics import user_statistics
from serving.reader import UserRow
from serving.session import Recent, with_session

H = 50


@dataclass(frozen=True)
class Entry:
    item_id: str
    value: float
    rev: int

    @property
    def polarity(self):
        return "liked" if self.value > 3 else "disliked"

    @property
    def occurred_at(self):
        return self.rev

    @property
    def offset(self):
        return self.rev


VECTORS = {str(n): np.random.default_rng(n).standard_normal((9, 16)).astype(np.float32) for n in range(80)}


def vector(item_id):
    return VECTORS.get(item_id.decode(), np.zeros((9, 16), np.float32)).reshape(-1)


def written(entries):
    """What the stream worker would have stored after these events."""
    kept = effective(entries)
    known = bool(kept)
    return UserRow(
        known=known,
        history=[entry.item_id.encode() for entry in kept[:H]],
        history_values=np.array([entry.value for entry in kept[:H]], np.float32),
        rev=len(entries),
        history_written_us=1 if known else None,
        experienced=experienced(kept, VECTORS).reshape(-1) if known else None,
        stats=user_statistics([entry.value for entry in kept], [entry.polarity for entry in kept]) if known else None,
        experienced_release="r" if known else "",
        expected=None,
        anchors=None,
        summary=None,
        expected_release="",
        expected_source="",
        expected_written_us=None,
        knowledge_rev=0,
    )


@pytest.mark.parametrize("stored", [0, 1, 7, 30, 50])
def test_session_events_count_as_if_they_had_been_written(stored):
    draw = np.random.default_rng(stored)
    entries = [Entry(str(draw.integers(40)), float(draw.integers(1, 6)), rev) for rev in range(1, stored + 1)]
    session = [Entry(str(draw.integers(60)), float(draw.integers(1, 6)), stored + 1 + n) for n in range(6)]
    session.append(Entry("unknown-item", 5.0, stored + 7))
    recent = [Recent(entry.item_id.encode(), entry.value) for entry in reversed(session)]

    merged = with_session(written(entries), recent, vector, 3.0, H, usable=True)

    truth = written(entries + session)
    assert merged.history == truth.history
    assert merged.history_values.tolist() == truth.history_values.tolist()
    assert merged.rev == truth.rev
    np.testing.assert_allclose(merged.experienced, truth.experienced, atol=1e-4)
    np.testing.assert_allclose(merged.stats, truth.stats, atol=1e-4)


def test_sums_of_another_release_stay_untouched():
    user = written([Entry("1", 5.0, 1)])
    merged = with_session(user, [Recent(b"2", 5.0)], vector, 3.0, H, usable=False)
    assert merged.experienced is user.experienced
    assert merged.history == [b"2", b"1"]


SESSION = [Entry("1", 1.0, 3), Entry("3", 1.0, 4)]
RECENT = [Recent(entry.item_id.encode(), entry.value) for entry in reversed(SESSION)]
DAMAGED = [[0, 0, 0, 0], [3, 0.5, 2, -5], [3, 0.5, 2, 800], [3, 0.5, 2, np.log1p(1)], [3, -7, 2, 3], [3, np.inf, 2, 3]]


@pytest.mark.parametrize("stats", [None, *DAMAGED])
@pytest.mark.parametrize("experienced_there", [True, False])
def test_statistics_that_cannot_be_used_are_taken_from_the_history_and_not_subtracted_from_nothing(
    stats, experienced_there
):
    entries = [Entry("2", 1.0, 1), Entry("1", 5.0, 2)]
    user = written(entries)
    user = replace(
        user,
        stats=None if stats is None else np.array(stats, np.float32),
        experienced=user.experienced if experienced_there else None,
    )
    merged = with_session(user, RECENT, vector, 3.0, H, usable=True)
    truth = written(entries + SESSION)
    np.testing.assert_allclose(merged.stats, truth.stats, atol=1e-6)
    np.testing.assert_allclose(merged.experienced, truth.experienced, atol=1e-5)


@pytest.mark.parametrize("stats", [None, *DAMAGED])
def test_a_session_event_on_an_item_of_the_history_does_not_divide_by_zero(stats):
    user = written([Entry("1", 5.0, 1)])
    user = replace(user, stats=None if stats is None else np.array(stats, np.float32), experienced=None)
    merged = with_session(user, [Recent(b"1", 2.0)], vector, 3.0, H, usable=True)
    np.testing.assert_allclose(merged.stats, [2.0, 0.0, 0.0, np.log1p(1)], atol=1e-6)
    np.testing.assert_allclose(merged.experienced, np.r_[np.zeros(144), vector(b"1")], atol=1e-6)


def test_statistics_of_more_than_the_stored_history_keep_counting_the_rest():
    entries = [Entry(str(n), float(1 + n % 5), n + 1) for n in range(70)]  # 20 more than H
    session = [Entry("65", 1.0, 71), Entry("75", 5.0, 72)]
    recent = [Recent(entry.item_id.encode(), entry.value) for entry in reversed(session)]
    merged = with_session(written(entries), recent, vector, 3.0, H, usable=True)
    truth = written(entries + session)
    np.testing.assert_allclose(merged.stats, truth.stats, atol=1e-4)
    np.testing.assert_allclose(merged.experienced, truth.experienced, atol=1e-4)
