"""Load a catalogue and users' histories into a live system: both stores, event time now, ordered by `source_rev`.

Histories are loaded, not published: their events have offset -1, and what is published later comes after them. Every
write is a projection of state and knowledge, so that a run that was cut off is simply run again: what was written
answers "repeated", what is newer by now stays.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from redis import Redis

from feature_repo.records import EntityWrite, FeatureRow, Outcome, RowResult
from feature_repo.writer import FeatureWriter
from knowledge.base import (
    Clock,
    ItemProfile,
    Knowledge,
    Polarity,
    SystemClock,
    TerminalError,
    TransientError,
    micros,
)
from streams.knowledge_rows import Floats, item_rows, profile_row
from streams.projection import Projection
from streams.redis_time import redis_micros
from streams.release_parts import TextCondenser
from streams.state import RingEntry, UserResult, UserState
from streams.store import StateStore
from streams.user_encoder import Encodable, UserEncoder, expected_items, own_values

Progress = Callable[[int, int], None]  # done, total
T = TypeVar("T")


@dataclass(frozen=True)
class ItemToLoad:
    """An item's profile and, where there is any, what an LLM said about it (without it: no vector yet)."""

    profile: ItemProfile
    knowledge: Knowledge | None = None


@dataclass(frozen=True)
class LoadedEvent:
    """One past event of a user, as the scenario reads it. `occurred_at` aware, UTC."""

    item_id: str
    value: float
    polarity: Polarity
    occurred_at: datetime
    event_id: str = ""  # given, it lets the ring recognise the same event should it be published after all


@dataclass(frozen=True)
class UserToLoad:
    """A user's past, oldest event first, and the knowledge that has seen its first `source_rev` events."""

    user_id: str
    history: Sequence[LoadedEvent]
    profile: Mapping[str, str] = field(default_factory=dict)
    knowledge: Knowledge | None = None


@dataclass(frozen=True)
class Loaded:
    """What a backfill did. `rows` by outcome (written, repeated, stale, forgotten)."""

    entities: int = 0
    seeded: int = 0  # users whose state was created here; the others had one
    rows: Mapping[str, int] = field(default_factory=dict)

    def plus(self, entities: int, seeded: int, results: Iterable[tuple[RowResult, ...]]) -> "Loaded":
        """With one more chunk."""
        rows = dict(self.rows)
        for result in itertools.chain.from_iterable(results):
            rows[result.outcome.value] = rows.get(result.outcome.value, 0) + 1
        return Loaded(self.entities + entities, self.seeded + seeded, rows)


def backfill_items(
    items: Sequence[ItemToLoad],
    *,
    writer: FeatureWriter,
    condenser: TextCondenser,
    release_id: str,
    slots: Sequence[str],
    clock: Clock | None = None,
    generation: int = 0,
    chunk: int = 500,
    progress: Progress | None = None,
) -> Loaded:
    """Write `item_profile`, `item_knowledge` and `item_vector` (in `slots`) of `items`.

    A later version of the same items needs a higher `generation`: the same one is taken for a retry. Raises
    `TransientError` when a store is away: run it again.
    """
    loaded = Loaded()
    now = micros((clock or SystemClock()).now())
    for part in _chunks(items, chunk):
        known = [item.knowledge for item in part if item.knowledge is not None]
        vectors: dict[str, tuple[Floats, Floats]] = {}
        if known:
            vecs, summaries = condenser.items([knowledge.factors for knowledge in known])
            vectors = {k.entity_id: pair for k, pair in zip(known, zip(vecs, summaries, strict=True), strict=True)}
        writes = []
        for item in part:
            rows: tuple[FeatureRow, ...] = (
                replace(profile_row(item.profile, source_rev=0, written_at=now), generation=generation),
            )
            if item.knowledge is not None:
                vec, summary = vectors[item.profile.item_id]
                rows += item_rows(
                    item.knowledge,
                    vec,
                    summary,
                    release=release_id,
                    slots=slots,
                    generation=generation,
                    written_at=now,
                )
            writes.append(EntityWrite("item", item.profile.item_id, 0, rows))
        results = writer.write(writes)
        writer.flush()
        loaded = loaded.plus(len(part), 0, results)
        if progress is not None:
            progress(loaded.entities, len(items))
    return loaded


def backfill_users(
    users: Sequence[UserToLoad],
    *,
    redis: Redis,
    store: StateStore,
    writer: FeatureWriter,
    encoder: UserEncoder,
    projection: Projection,
    slots: Sequence[str],
    chunk: int = 250,
    progress: Progress | None = None,
) -> Loaded:
    """Seed states and write `user_knowledge`, `user_expected`, `user_history` and `user_experienced`.

    A user who has a state already keeps it: history rows then come from that state, and knowledge counts if it has
    seen more events than the one in force. Users without knowledge become due like anybody with that many new events.
    Load the items first: vectors are read from the online store. Raises `TransientError` when a store is away: run it
    again.
    """
    loaded = Loaded()
    vectors: dict[str, Floats] = {}
    for part in _chunks(users, chunk):
        now = redis_micros(redis)
        seeded = [store.seed(user.user_id, _entries(user, now), user.profile) is not None for user in part]
        states = _states(store, part)
        named = {item for user in part if user.knowledge for item in expected_items(user.knowledge.expectations)}
        vectors |= encoder.item_vectors(named - vectors.keys(), slots[0])
        results = _write_knowledge(part, states, writer, encoder, vectors, slots, now)
        # Before the projection: it decides who is due, and must know what the knowledge has seen.
        store.update_many(list(_noted(part, states, results)))
        refused = projection.project([UserResult(state, (), now) for state in _states(store, part)])
        for user_id, error in refused.items():
            raise TerminalError(error.reason, f"the history of user {user_id} cannot be written: {error}")
        writer.flush()
        loaded = loaded.plus(len(part), sum(seeded), results.values())
        if progress is not None:
            progress(loaded.entities, len(users))
    return loaded


def _chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _states(store: StateStore, users: Sequence[UserToLoad]) -> list[UserState]:
    states = store.read_many([user.user_id for user in users])
    found = [state for state in states if state is not None]
    if len(found) != len(users):
        raise TransientError("state_vanished", "a user's state went while being loaded: run the backfill again")
    return found


def _entries(user: UserToLoad, now: int) -> list[RingEntry]:
    return [
        RingEntry(
            event_id=event.event_id or f"loaded:{rev}",
            item_id=event.item_id,
            value=event.value,
            polarity=event.polarity,
            occurred_at=micros(event.occurred_at),
            offset=-1,
            rev=rev,
            applied_at=now,
        )
        for rev, event in enumerate(user.history, start=1)
    ]


def _write_knowledge(
    users: Sequence[UserToLoad],
    states: Sequence[UserState],
    writer: FeatureWriter,
    encoder: UserEncoder,
    vectors: Mapping[str, Floats],
    slots: Sequence[str],
    written_at: int,
) -> dict[str, tuple[RowResult, ...]]:
    known = [
        (state, Encodable(user.knowledge, own_values(state.ring, user.knowledge.source_rev), state.generation))
        for user, state in zip(users, states, strict=True)
        if user.knowledge is not None and not state.forgotten
    ]
    if not known:
        return {}
    encodables = [one for _, one in known]
    made = encoder.rows(encodables, encoder.summaries(encodables), vectors, slots, written_at)
    results = writer.write(
        [EntityWrite("user", state.user_id, state.epoch, rows) for (state, _), rows in zip(known, made, strict=True)]
    )
    writer.flush()  # before the state says that the knowledge is in place
    return {state.user_id: rows for (state, _), rows in zip(known, results, strict=True)}


def _noted(
    users: Sequence[UserToLoad], states: Sequence[UserState], results: Mapping[str, tuple[RowResult, ...]]
) -> Iterator[tuple[str, int, dict[str, object]]]:
    for user, state in zip(users, states, strict=True):
        rows = results.get(user.user_id, ())
        if user.knowledge is not None and rows and rows[0].outcome is not Outcome.FORGOTTEN:
            fields: dict[str, object] = {
                "refreshed_rev": user.knowledge.source_rev,
                "refreshed_at": micros(rows[0].event_time),
            }
            yield user.user_id, state.epoch, fields
