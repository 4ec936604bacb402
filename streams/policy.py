"""Refresh policy: has this user changed enough for new knowledge, and when may it be made.

A pure function of (state, now, settings, drift), so that it can be unit-tested and replayed offline. It runs twice
for every refresh: when an event is projected (which marks the user in the due set) and again when the scheduler takes
the mark, with the state of that moment. Live, every time here comes from the Redis clock (`applied_at` is set by the
state's Lua call); a replay over old logs builds its states with `applied_at = occurred_at` and passes such a `now`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from knowledge.base import from_micros, micros

_SECOND = 1_000_000


class Seen(Protocol):
    """An entry of the ring, as far as the policy reads it."""

    @property
    def rev(self) -> int:
        """Which event of the user it was, counted from 1."""
        ...

    @property
    def applied_at(self) -> int:
        """When it was applied, µs."""
        ...


class ChangingUser(Protocol):
    """The part of a user's state that the policy reads (`streams.state.UserState` has it all)."""

    @property
    def rev(self) -> int:
        """Events ever applied."""
        ...

    @property
    def refreshed_rev(self) -> int:
        """Events that the knowledge in force has seen."""
        ...

    @property
    def refreshed_at(self) -> int | None:
        """When that knowledge was written, µs; None or 0 = never."""
        ...

    @property
    def ring(self) -> Sequence[Seen]:
        """The newest events in arrival order."""
        ...

    @property
    def refresh_outcome(self) -> Mapping[str, Any] | None:
        """`{source_rev, reason, at}` of the last request that ended without new knowledge."""
        ...


class PolicySettings(Protocol):
    """The knobs; `streams.settings.StreamSettings` has them."""

    @property
    def refresh_min_events(self) -> int:
        """New events that make a user changed."""
        ...

    @property
    def refresh_min_drift(self) -> float:
        """Drift of the experienced vectors that makes a user changed; 0 = do not look at drift."""
        ...

    @property
    def refresh_max_age_s(self) -> float:
        """Knowledge of this age is renewed at the next new event; 0 = never for its age alone."""
        ...

    @property
    def refresh_debounce_s(self) -> float:
        """Least time between two generations for one user."""
        ...

    @property
    def refresh_settle_s(self) -> float:
        """Quiet time that ends a burst."""
        ...

    @property
    def refresh_max_delay_s(self) -> float:
        """Longest wait for a burst to end."""
        ...


@dataclass(frozen=True)
class Decision:
    """What the policy says about one user.

    `due`: the user counts as changed. `not_before`: when to look at the user (again); mark the due set with it
    whenever it is not None. For a user who is not due it is the time at which age alone would make them so.
    `reason` is shown to users: a short plain sentence with the numbers.
    """

    due: bool
    reason: str
    not_before: datetime | None


def decide(state: ChangingUser, now: datetime, settings: PolicySettings, drift: float | None = None) -> Decision:
    """Decide whether `state` is due for a refresh at `now` (aware, UTC).

    `drift` is how far the experienced vectors have moved since the knowledge in force (0 = not at all, None = not
    measured). A burst is waited out (`refresh_settle_s` after its newest event) but never longer than
    `refresh_max_delay_s` after the event that made the user changed; `refresh_debounce_s` since the last generation,
    or the last attempt at one, is always kept.
    """
    signal = state.rev - state.refreshed_rev
    if signal <= 0:
        return Decision(False, "no new events since the last knowledge" if state.rev else "no events yet", None)
    outcome = state.refresh_outcome or {}
    if int(outcome.get("source_rev", -1)) >= state.rev:
        # The same events would give the same answer: without this a user whose answer is refused is asked for ever.
        return Decision(False, f"already asked with these {_events(state.rev)}: {outcome.get('reason')}", None)
    attempted_at = max(state.refreshed_at or 0, int(outcome.get("at") or 0))
    return _changed(state, signal, micros(now), settings, drift, attempted_at)


def _changed(
    state: ChangingUser, signal: int, now: int, settings: PolicySettings, drift: float | None, attempted_at: int
) -> Decision:
    unseen = [entry for entry in state.ring if entry.rev > state.refreshed_rev]
    first = min((entry.applied_at for entry in unseen), default=now)
    newest = max((entry.applied_at for entry in unseen), default=now)
    age = now - (state.refreshed_at or 0)
    max_age = int(settings.refresh_max_age_s * _SECOND)
    if signal >= settings.refresh_min_events:
        reason = f"{_new_events(signal)}, {settings.refresh_min_events} needed"
        enough_at = min(
            (entry.applied_at for entry in unseen if entry.rev >= state.refreshed_rev + settings.refresh_min_events),
            default=first,
        )
    elif drift is not None and settings.refresh_min_drift > 0 and drift >= settings.refresh_min_drift:
        reason = f"taste moved by {drift:.2f}, {settings.refresh_min_drift:.2f} needed"
        enough_at = first
    elif state.refreshed_at and max_age and age >= max_age:
        reason = f"knowledge is {_span(age)} old and has not seen {_events(signal)}"
        enough_at = first
    else:
        later = from_micros(state.refreshed_at + max_age) if state.refreshed_at and max_age else None
        return Decision(False, f"{_new_events(signal)}, {settings.refresh_min_events} needed", later)
    settled = newest + int(settings.refresh_settle_s * _SECOND)
    latest = enough_at + int(settings.refresh_max_delay_s * _SECOND)
    debounced = attempted_at + int(settings.refresh_debounce_s * _SECOND) if attempted_at else 0
    return Decision(True, reason, from_micros(max(debounced, min(settled, latest))))


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _new_events(count: int) -> str:
    return "1 new event" if count == 1 else f"{count} new events"


def _span(duration: int) -> str:
    seconds = duration // _SECOND
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"
