"""Load a catalogue and users' histories into a live system: both stores, event time now, ordered by `source_rev`.

Histories are loaded, not published: their events have offset -1, and what is published later comes after them. Every
write is a projection of state and knowledge, so that a run that was cut off is simply run again: what was written
answers "repeated", what is newer by now stays.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, TypeVar

from encoders.history import effective
from feature_repo.records import EntityWrite, FeatureRow, Outcome, RowResult
from feature_repo.writer import FeatureWriter
from knowledge.base import Clock, ItemProfile, Knowledge, Polarity, SystemClock, TransientError, micros
from streams.knowledge_rows import Floats, item_rows, profile_row
from streams.projection import user_feature_rows
from streams.state import RingEntry, UserState
from streams.store import StateStore
from streams.user_encoder import Encodable, UserEncoder, expected_items, own_values

Progress = Callable[[int, int], None]  # done, total
T = TypeVar("T")


class ItemCondenser(Protocol):
    """`encoders.condense.Condenser`, as far as items are concerned."""

    def items(self, factors: Sequence[Mapping[str, str]]) -> tuple[Floats, Floats]:
        """Vectors f32[n, F, d] and HEIN summaries f32[n, 32] of items' factor texts."""
        ...


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
    condenser: ItemCondenser,
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
    store: StateStore,
    writer: FeatureWriter,
    encoder: UserEncoder,
    slots: Sequence[str],
    clock: Clock | None = None,
    chunk: int = 250,
    progress: Progress | None = None,
) -> Loaded:
    """Seed states and write `user_history`, `user_experienced`, `user_knowledge` and `user_expected`.

    A user who has a state already keeps it: history rows then come from that state, and knowledge counts if it has
    seen more events than the one in force. Load the items first: vectors are read from the online store. Raises
    `TransientError` when a store is away: run it again.
    """
    loaded = Loaded()
    clock = clock or SystemClock()
    vectors: dict[str, Floats] = {}
    for part in _chunks(users, chunk):
        states, seeded = _seed(store, part, micros(clock.now()))
        wanted = {
            item
            for user, state in zip(part, states, strict=True)
            for item in (
                *(entry.item_id for entry in effective(state.ring)),
                *expected_items(user.knowledge.expectations if user.knowledge else None),
            )
        }
        vectors |= encoder.item_vectors(wanted - vectors.keys(), slots[0])
        results = _write_users(part, states, writer, encoder, vectors, slots, micros(clock.now()))
        # The state comes last: it is what says that this user's knowledge is in place.
        store.update_many(list(_noted(part, states, results)))
        loaded = loaded.plus(len(part), seeded, results)
        if progress is not None:
            progress(loaded.entities, len(users))
    return loaded


def _chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _seed(store: StateStore, users: Sequence[UserToLoad], now: int) -> tuple[list[UserState], int]:
    seeded = [store.seed(user.user_id, _entries(user, now), user.profile) is not None for user in users]
    states = store.read_many([user.user_id for user in users])
    found = [state for state in states if state is not None]
    if len(found) != len(users):
        raise TransientError("state_vanished", "a user was forgotten while being loaded: run the backfill again")
    return found, sum(seeded)


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


def _write_users(
    users: Sequence[UserToLoad],
    states: Sequence[UserState],
    writer: FeatureWriter,
    encoder: UserEncoder,
    vectors: Mapping[str, Floats],
    slots: Sequence[str],
    written_at: int,
) -> list[tuple[RowResult, ...]]:
    known = [
        Encodable(user.knowledge, own_values(state.ring, user.knowledge.source_rev), state.generation)
        for user, state in zip(users, states, strict=True)
        if user.knowledge is not None
    ]
    knowledge_rows: dict[str, tuple[FeatureRow, ...]] = {}
    if known:
        made = encoder.rows(known, encoder.summaries(known), vectors, slots, written_at)
        knowledge_rows = {one.knowledge.entity_id: rows for one, rows in zip(known, made, strict=True)}
    history = user_feature_rows(states, vectors, encoder.release_id, slots, written_at)
    writes = [
        EntityWrite("user", state.user_id, state.epoch, (*rows, *knowledge_rows.get(state.user_id, ())))
        for state, rows in zip(states, history, strict=True)
    ]
    results = writer.write(writes)
    writer.flush()
    return results


def _noted(
    users: Sequence[UserToLoad], states: Sequence[UserState], results: Sequence[tuple[RowResult, ...]]
) -> Iterator[tuple[str, int, dict[str, object]]]:
    for user, state, rows in zip(users, states, results, strict=True):
        ours = [row for row in rows if row.view == "user_knowledge"]
        if user.knowledge is not None and ours and ours[0].outcome in {Outcome.WRITTEN, Outcome.REPEATED}:
            yield (
                user.user_id,
                state.epoch,
                {"refreshed_rev": user.knowledge.source_rev, "refreshed_at": micros(ours[0].event_time)},
            )
