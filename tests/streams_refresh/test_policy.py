"""The refresh policy: who counts as changed, when they may be asked about, and what users are told."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from knowledge.base import from_micros, micros
from streams.policy import decide

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SECOND = 1_000_000


@dataclass(frozen=True)
class Knobs:
    refresh_min_events: int = 10
    refresh_min_drift: float = 0.0
    refresh_max_age_s: float = 0.0
    refresh_debounce_s: float = 60.0
    refresh_settle_s: float = 2.0
    refresh_max_delay_s: float = 30.0


@dataclass(frozen=True)
class Entry:
    rev: int
    applied_at: int


@dataclass(frozen=True)
class User:
    rev: int = 0
    refreshed_rev: int = 0
    refreshed_at: int | None = None
    ring: tuple[Entry, ...] = ()
    refresh_outcome: dict[str, Any] | None = field(default=None)


def user(rev: int, refreshed_rev: int, *, every_s: float = 0.1, refreshed_ago_s: float = 3600.0) -> User:
    """A user whose newest event was applied at NOW, one event each `every_s` seconds before it."""
    ring = tuple(Entry(r, micros(NOW) - int((rev - r) * every_s * SECOND)) for r in range(max(1, rev - 99), rev + 1))
    return User(rev, refreshed_rev, micros(NOW) - int(refreshed_ago_s * SECOND), ring)


def test_too_few_new_events_is_not_a_change_and_says_how_many_are_needed() -> None:
    decision = decide(user(34, 30), NOW, Knobs())
    assert (decision.due, decision.reason, decision.not_before) == (False, "4 new events, 10 needed", None)


def test_one_event_is_not_called_events() -> None:
    assert decide(user(31, 30), NOW, Knobs()).reason == "1 new event, 10 needed"


def test_enough_new_events_are_a_change_after_the_burst_has_settled() -> None:
    decision = decide(user(40, 30), NOW, Knobs())
    assert decision.due
    assert decision.reason == "10 new events, 10 needed"
    assert decision.not_before == NOW + timedelta(seconds=2)


def test_a_burst_that_never_ends_does_not_delay_a_refresh_for_ever() -> None:
    # Event 40 made the user changed 60 s ago; events have come every second since.
    decision = decide(user(100, 30, every_s=1.0), NOW, Knobs())
    assert decision.due
    assert decision.not_before == NOW - timedelta(seconds=60) + timedelta(seconds=30)


def test_debounce_is_kept_since_the_last_generation() -> None:
    decision = decide(user(40, 30, refreshed_ago_s=5), NOW, Knobs())
    assert decision.not_before == NOW + timedelta(seconds=55)


def test_debounce_is_kept_since_the_last_failed_attempt() -> None:
    state = replace(user(41, 30), refresh_outcome={"source_rev": 40, "reason": "answer_cut", "at": micros(NOW)})
    decision = decide(state, NOW, Knobs())
    assert decision.due
    assert decision.not_before == NOW + timedelta(seconds=60)


def test_a_refused_answer_is_not_asked_for_again_with_the_same_events() -> None:
    state = replace(user(40, 30), refresh_outcome={"source_rev": 40, "reason": "no_newer_record", "at": micros(NOW)})
    decision = decide(state, NOW, Knobs())
    assert not decision.due
    assert decision.reason == "already asked with these 40 events: no_newer_record"


def test_drift_alone_makes_a_user_changed() -> None:
    knobs = Knobs(refresh_min_drift=0.25)
    assert decide(user(34, 30), NOW, knobs, drift=0.31).reason == "taste moved by 0.31, 0.25 needed"
    assert not decide(user(34, 30), NOW, knobs, drift=0.2).due
    assert not decide(user(34, 30), NOW, Knobs(), drift=0.9).due


def test_age_alone_makes_a_user_with_a_new_event_changed_and_is_looked_at_in_time() -> None:
    knobs = Knobs(refresh_max_age_s=86_400)
    young = decide(user(31, 30), NOW, knobs)
    assert not young.due
    assert young.not_before == NOW - timedelta(hours=1) + timedelta(days=1)
    old = decide(user(31, 30, refreshed_ago_s=3 * 86_400), NOW, knobs)
    assert old.due
    assert old.reason == "knowledge is 3 days old and has not seen 1 event"
    assert not decide(user(30, 30, refreshed_ago_s=3 * 86_400), NOW, knobs).due


def test_users_without_events_or_without_news_are_left_alone() -> None:
    assert decide(User(), NOW, Knobs()).reason == "no events yet"
    assert decide(user(30, 30), NOW, Knobs()).reason == "no new events since the last knowledge"


events = st.lists(st.integers(0, 20 * SECOND), min_size=1, max_size=120)


@st.composite
def streams(draw: st.DrawFn) -> tuple[User, datetime]:
    gaps = draw(events)
    at, ring = micros(NOW), []
    for rev, gap in enumerate(gaps, start=1):
        at += gap
        ring.append(Entry(rev, at))
    refreshed_rev = draw(st.integers(0, len(ring)))
    refreshed_at = draw(st.one_of(st.none(), st.integers(micros(NOW) - 100 * SECOND, at)))
    state = User(len(ring), refreshed_rev, refreshed_at, tuple(ring[-100:]))
    return state, from_micros(at + draw(st.integers(0, 100 * SECOND)))


@given(streams())
def test_a_changed_user_always_gets_a_time_within_bounds(case: tuple[User, datetime]) -> None:
    state, now = case
    knobs = Knobs()
    decision = decide(state, now, knobs)
    assert decision.due == (state.rev - state.refreshed_rev >= knobs.refresh_min_events)
    if not decision.due:
        assert decision.not_before is None
        return
    assert decision.not_before is not None
    at = micros(decision.not_before)
    debounced = (state.refreshed_at or 0) + (60 * SECOND if state.refreshed_at else 0)
    assert at >= debounced
    reached = [e.applied_at for e in state.ring if e.rev >= state.refreshed_rev + knobs.refresh_min_events]
    assert at <= max(debounced, reached[0] + 30 * SECOND)


@given(streams())
def test_the_decision_depends_on_nothing_but_its_arguments(case: tuple[User, datetime]) -> None:
    state, now = case
    assert decide(state, now, Knobs()) == decide(replace(state), now, Knobs())


@given(streams(), st.integers(1, 30 * SECOND))
def test_a_later_event_never_makes_a_changed_user_unchanged(case: tuple[User, datetime], gap: int) -> None:
    state, now = case
    before = decide(state, now, Knobs())
    at = state.ring[-1].applied_at + gap
    after = decide(replace(state, rev=state.rev + 1, ring=(*state.ring, Entry(state.rev + 1, at))[-100:]), now, Knobs())
    assert after.due or not before.due
