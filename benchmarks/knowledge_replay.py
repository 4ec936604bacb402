"""Replay of users' next events with the refresh policy (`streams.policy.decide`), at the times that the data tell.

As live: every event marks the user by what the policy says then, an earlier mark stays, and when a mark's time has come
the policy is asked again about the newest state. Answers come at once, and no budget holds anybody back: more refreshes
than a real worker makes, never fewer. Events of the same second as a mark come before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from knowledge.base import from_micros, micros
from knowledge.incremental import Plan, plan
from streams.policy import decide
from streams.settings import StreamSettings


@dataclass(frozen=True)
class SeenEvent:
    """An entry of the ring, as the policy reads it."""

    rev: int
    applied_at: int


@dataclass
class ReplayedUser:
    """The part of a user's state that the policy reads. Begins with knowledge of the first `rev` events."""

    rev: int
    refreshed_rev: int
    refreshed_at: int | None
    ring: list[SeenEvent]
    refresh_outcome: dict[str, Any] | None = None
    generation: int = 0


@dataclass(frozen=True)
class Refreshed:
    """One refresh: the events it saw, those that the knowledge before it had seen, and whether it starts anew."""

    rev: int
    seen_before: int
    at: datetime
    plan: Plan
    reason: str


@dataclass
class UserReplay:
    """What one user's replay gave. `nights`: for each UTC midnight from the start, events known then."""

    refreshes: list[Refreshed] = field(default_factory=list)
    nights: list[int] = field(default_factory=list)
    unseen: int = 0  # events at the end that no knowledge has seen


def replay_user(
    times: Sequence[datetime],
    known: int,
    until: datetime,
    settings: StreamSettings,
    known_texts: Any,  # noqa: ANN401 - Knowledge: what `plan` builds on
    drift: Callable[[int, int], float | None],
) -> UserReplay:
    """`times` of all replayed events, the first `known` of them behind the first knowledge, made right after them.

    `drift(before, now)` is how far the experienced vectors moved between two numbers of events. After the last event
    the clock runs on to `until`: knowledge that ages without having seen the last events is renewed then.
    """
    start = micros(times[known - 1])
    ring = [SeenEvent(rev, micros(at)) for rev, at in enumerate(times[:known], start=1)]
    user, found, mark = ReplayedUser(known, known, start, ring), UserReplay(), None
    for at in [*times[known:], None]:
        moment = micros(until) if at is None else micros(at)
        while mark is not None and mark < moment:
            mark = _look(user, found, mark, settings, known_texts, drift)
        if at is None:
            break
        user.rev += 1
        user.ring = [*user.ring, SeenEvent(user.rev, moment)][-settings.ring_size :]
        moved = drift(user.refreshed_rev, user.rev)
        decision = decide(user, at, settings, moved)
        if decision.not_before is not None:
            wanted = micros(decision.not_before)
            mark = wanted if mark is None else min(mark, wanted)
    found.unseen = user.rev - user.refreshed_rev
    found.nights = _nights(times, known, until)
    return found


def _look(
    user: ReplayedUser,
    found: UserReplay,
    now: int,
    settings: StreamSettings,
    known_texts: Any,  # noqa: ANN401 - as above
    drift: Callable[[int, int], float | None],
) -> int | None:
    """The scheduler takes a mark whose time has come; returns the mark that stays."""
    moved = drift(user.refreshed_rev, user.rev)
    decision = decide(user, from_micros(now), settings, moved)
    if decision.not_before is not None and micros(decision.not_before) > now:
        return micros(decision.not_before)
    if not decision.due:
        return None
    generation = user.generation + 1
    new = sum(entry.rev > user.refreshed_rev for entry in user.ring)
    planned = plan(
        known_texts,
        None,
        generation=generation,
        full_every=settings.refresh_full_every,
        new_events=new,
        shown_events=len(user.ring),
        drift=moved,
        full_drift=settings.refresh_full_drift,
    )
    found.refreshes.append(Refreshed(user.rev, user.refreshed_rev, from_micros(now), planned, decision.reason))
    user.refreshed_rev, user.refreshed_at, user.generation = user.rev, now, generation
    return None


def _nights(times: Sequence[datetime], known: int, until: datetime) -> list[int]:
    day = 86_400
    first, last = int(times[known - 1].timestamp()) // day + 1, int(until.timestamp()) // day
    stamps = [int(at.timestamp()) for at in times]
    counts, place = [], known
    for night in range(first, last + 1):
        while place < len(stamps) and stamps[place] < night * day:
            place += 1
        counts.append(place)
    return counts
