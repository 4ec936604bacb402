"""User state as plain data: what one Redis hash per user holds, read back. No I/O here (see `store`)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from knowledge.base import BehaviorEvent, Polarity

FORMAT = 1


@dataclass(frozen=True)
class Arrival:
    """One event as it came off the topic, with what the scenario makes of it."""

    event: BehaviorEvent
    value: float  # the scenario's number
    polarity: Polarity
    topic_id: str
    partition: int
    offset: int


@dataclass(frozen=True)
class ForgetArrival:
    """One null record."""

    user_id: str
    topic_id: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class RingEntry:
    """One of the last N events, in arrival order. Times in µs since 1970 UTC; a loaded history has offset -1."""

    event_id: str
    item_id: str
    value: float
    polarity: Polarity
    occurred_at: int
    offset: int
    rev: int
    applied_at: int


@dataclass(frozen=True)
class UserState:
    """All that is known about one user's behaviour. `rev` = number of events ever applied in this life (`epoch`)."""

    user_id: str
    epoch: int = 0
    rev: int = 0
    offsets: Mapping[str, Mapping[int, int]] = field(default_factory=dict)  # topic id -> partition -> last offset
    ring: tuple[RingEntry, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)  # polarity -> events ever applied
    requested_rev: int = 0
    requested_at: int = 0  # µs
    refreshed_rev: int = 0
    refreshed_at: int = 0  # µs
    generation: int = 0  # refreshes so far
    prompt_hashes: tuple[str, ...] = ()
    decision: Mapping[str, Any] | None = None
    refresh_outcome: Mapping[str, Any] | None = None
    profile: Mapping[str, str] = field(default_factory=dict)
    forgotten: bool = False  # a stub: nothing but epoch and offsets
    gone: bool = False  # ... and everything of the old life is deleted

    def handled(self, topic_id: str, partition: int, offset: int) -> bool:
        """Whether the record at this place was already taken into account (or skipped)."""
        return offset <= self.offsets.get(topic_id, {}).get(partition, -1)

    def find(self, event_id: str) -> RingEntry | None:
        """The ring's entry of that event, if it is still among the last N."""
        return next((entry for entry in reversed(self.ring) if entry.event_id == event_id), None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one arrival: applied as revision `rev`, or ignored (`replayed`, `duplicate`)."""

    applied: bool
    rev: int
    reason: str = ""


@dataclass(frozen=True)
class UserResult:
    """One user's state after a call, the arrivals' verdicts in order, and the Redis clock (µs) of the call."""

    state: UserState
    verdicts: tuple[Verdict, ...]
    now: int


def state_to_json(state: UserState) -> str:
    """The part of the state that an offline history row carries, enough to restore it (`state_json`)."""
    return json.dumps(
        {
            "format": FORMAT,
            "epoch": state.epoch,
            "rev": state.rev,
            "offsets": {t: {str(p): o for p, o in line.items()} for t, line in state.offsets.items()},
            "ring": [entry_row(entry) for entry in state.ring],
            "counts": dict(state.counts),
            "refreshed_rev": state.refreshed_rev,
            "refreshed_at": state.refreshed_at,
            "generation": state.generation,
            "profile": dict(state.profile),
        },
        separators=(",", ":"),
    )


def state_from_json(user_id: str, text: str) -> UserState:
    """The inverse of `state_to_json`."""
    data = json.loads(text)
    return UserState(
        user_id=user_id,
        epoch=data["epoch"],
        rev=data["rev"],
        offsets={t: {int(p): o for p, o in line.items()} for t, line in data["offsets"].items()},
        ring=ring_from_rows(data["ring"]),
        counts=data["counts"],
        refreshed_rev=data["refreshed_rev"],
        refreshed_at=data["refreshed_at"],
        generation=data["generation"],
        profile=data["profile"],
    )


def entry_row(entry: RingEntry) -> list[Any]:
    """An entry as the JSON array in which it is stored."""
    return [
        entry.event_id,
        entry.item_id,
        entry.value,
        entry.polarity.value,
        entry.occurred_at,
        entry.offset,
        entry.rev,
        entry.applied_at,
    ]


_POLARITY = {polarity.value: polarity for polarity in Polarity}


def ring_from_rows(rows: Iterable[list[Any]]) -> tuple[RingEntry, ...]:
    """Entries from their stored arrays."""
    return tuple(RingEntry(r[0], r[1], r[2], _POLARITY[r[3]], r[4], r[5], r[6], r[7]) for r in rows)
