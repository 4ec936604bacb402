"""A session event counts in an answer exactly as if the stream worker had written it."""

from dataclasses import dataclass

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
