"""Bulk knowledge into Feast, by the writer path of the refresh worker: encoder, rows, one Lua call for each entity."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from redis import Redis

from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.records import EntityWrite, Outcome, RowResult
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter
from knowledge.base import Clock, Expectations, Knowledge, KnowledgeMode, SystemClock, micros
from reki.knowledge.learned import Learned, Written
from streams.control import Slots
from streams.due import DueSet
from streams.knowledge_rows import item_rows, knowledge_from_row
from streams.redis_calls import connect, redis_errors
from streams.refresher import feature_update
from streams.release_parts import RefreshRelease
from streams.settings import StreamSettings
from streams.state import UserState
from streams.store import StateStore
from streams.user_encoder import Encodable, UserEncoder, expected_items, own_values

IN_PLACE = "in place"  # what is in force says the same already
KEPT = "kept"  # the user or item has knowledge of its own, which cluster knowledge does not replace
LATER = "later"  # what is in force has seen more events


class FeastSink:
    """For one thread. A write that was cut off is simply repeated: what is in place already answers so."""

    def __init__(
        self,
        features: FeatureSettings,
        streams: StreamSettings,
        release: RefreshRelease,
        *,
        replace_individual: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._client: Redis = connect(features.redis_url)
        keys = Keys(features.namespace)
        offline = OfflineBuffer(features.offline_dir, features.offline_flush_rows, flush_s=3600.0)
        self._writer = FeatureWriter(self._client, keys, offline)
        self._reader = FeatureReader(self._client, keys)
        self._store = StateStore(self._client, keys, streams.ring_size)
        self._slots = Slots(self._client, features.namespace)
        self._due = DueSet(self._client, features.namespace)
        self._release = release
        self._encoder = UserEncoder(release.condenser, self._reader, release.release_id, release.anchors, release.shape)
        self._replace_individual = replace_individual
        self._clock = clock or SystemClock()

    def close(self) -> None:
        """Flush and disconnect."""
        self._writer.close()
        self._client.close()

    def users(self, batch: Sequence[Learned]) -> Written:
        """Write `user_knowledge` and `user_expected`; raises `TransientError` when a store is away."""
        ids = [one.knowledge.entity_id for one in batch]
        slots = self._slots.current()
        texts = self._reader.read("user_knowledge", ids)
        vectors = self._reader.read("user_expected", ids, ["expected_release"], slots[0])
        outcomes: Counter[str] = Counter()
        forgotten, due = [], []
        for one, state, text, vector in zip(batch, self._store.read_many(ids), texts, vectors, strict=True):
            if state is None or state.forgotten or state.epoch != one.epoch:
                forgotten.append(one.knowledge.entity_id)
                continue
            in_force = knowledge_from_row(state.user_id, text)
            released = vector is not None and vector["expected_release"] == self._release.release_id
            verdict = self._verdict(one.knowledge, in_force, released)
            # Rows that the state knows nothing of were cut off before they were announced: written again, they are.
            if verdict is IN_PLACE and text is not None and state.refreshed_at < text["knowledge_written_at"]:
                verdict = None
            if verdict is None:
                due.append((one, state))
            else:
                outcomes[verdict] += 1
        written, updates = self._write_users(due, slots) if due else ({}, [])
        for (one, _), rows in zip(due, written.values(), strict=True):
            if any(row.outcome is Outcome.FORGOTTEN for row in rows):
                forgotten.append(one.knowledge.entity_id)
            else:
                outcomes[LATER if rows[0].outcome is Outcome.STALE else rows[0].outcome.value] += 1
        outcomes[Outcome.FORGOTTEN.value] += len(forgotten)
        return Written(+outcomes, tuple(forgotten), tuple(updates))

    def note(self, batch: Sequence[Learned], written: Written) -> None:
        """After the announcement: the states learn what the knowledge has seen, and the policy counts from there."""
        announced = {user for user, _ in written.updates}
        done = [one for one in batch if one.knowledge.entity_id in announced]
        states = self._store.read_many([one.knowledge.entity_id for one in done])
        now = micros(self._clock.now())
        fields: list[tuple[str, int, dict[str, Any]]] = []
        for one, state in zip(done, states, strict=True):
            if state is not None:
                seen = {"refreshed_rev": one.knowledge.source_rev, "refreshed_at": now}
                fields.append((state.user_id, one.epoch, {**seen, "generation": state.generation + 1}))
                self._due.done(state.user_id, one.knowledge.source_rev)
        self._store.update_many(fields)

    def items(self, batch: Sequence[Learned]) -> Written:
        """Write `item_knowledge` and `item_vector`; raises `TransientError` when a store is away."""
        ids = [one.knowledge.entity_id for one in batch]
        slots = self._slots.current()
        texts = self._reader.read("item_knowledge", ids)
        vectors = self._reader.read("item_vector", ids, ["item_release"], slots[0])
        outcomes: Counter[str] = Counter()
        due = []
        for one, text, vector in zip(batch, texts, vectors, strict=True):
            released = vector is not None and vector["item_release"] == self._release.release_id
            if text is not None and self._keeps(one.knowledge, text["item_knowledge_mode"]):
                outcomes[KEPT] += 1
            elif released and text is not None and _same_item(one.knowledge, text):
                outcomes[IN_PLACE] += 1
            else:
                due.append(one.knowledge)
        if due:
            vecs, summaries = self._release.condenser.items([knowledge.factors for knowledge in due])
            now = micros(self._clock.now())
            writes = [
                EntityWrite("item", knowledge.entity_id, 0, rows)
                for knowledge, vec, summary in zip(due, vecs, summaries, strict=True)
                for rows in [
                    item_rows(
                        knowledge,
                        vec,
                        summary,
                        release=self._release.release_id,
                        slots=slots,
                        # Items have no count of generations: the answer's own time orders them, and is kept with it.
                        generation=int(knowledge.generated_at.timestamp()),
                        written_at=now,
                    )
                ]
            ]
            outcomes.update(rows[0].outcome.value for rows in self._writer.write(writes))
            self._writer.flush()
        return Written(outcomes)

    def _verdict(self, knowledge: Knowledge, in_force: Knowledge | None, released: bool) -> str | None:
        if in_force is None:
            return None
        if in_force.source_rev > knowledge.source_rev:
            return LATER
        if self._keeps(knowledge, in_force.mode):
            return KEPT
        return IN_PLACE if released and _same_user(knowledge, in_force) else None

    def _keeps(self, knowledge: Knowledge, in_force: str) -> bool:
        """Whether what is in force is of the entity itself, and clusters do not replace it."""
        of_cluster = KnowledgeMode.COLLECTIVE
        return knowledge.mode is of_cluster and in_force not in ("", of_cluster) and not self._replace_individual

    def _write_users(
        self, due: Sequence[tuple[Learned, UserState]], slots: Sequence[str]
    ) -> tuple[dict[str, tuple[RowResult, ...]], list[tuple[str, bytes]]]:
        # Before the rows: a cached answer whose hash is nowhere could not be erased with its user.
        self._store.update_many(
            [
                (state.user_id, state.epoch, {"prompt_hashes": [one.prompt_hash]})
                for one, state in due
                if one.prompt_hash is not None and one.prompt_hash not in state.prompt_hashes
            ]
        )
        users = [
            Encodable(one.knowledge, own_values(state.ring, one.knowledge.source_rev), state.generation + 1)
            for one, state in due
        ]
        named = {item for user in users for item in expected_items(user.knowledge.expectations)}
        vectors = self._encoder.item_vectors(named, slots[0])
        now = micros(self._clock.now())
        made = self._encoder.rows(users, self._encoder.summaries(users), vectors, slots, now)
        results = self._writer.write(
            [EntityWrite("user", state.user_id, state.epoch, rows) for (_, state), rows in zip(due, made, strict=True)]
        )
        self._writer.flush()
        updates = [
            (one.knowledge.entity_id, feature_update(one.knowledge, self._release.release_id, rows[0].event_time))
            for (one, _), rows in zip(due, results, strict=True)
            if rows[0].outcome in {Outcome.WRITTEN, Outcome.REPEATED}
        ]
        return {state.user_id: rows for (_, state), rows in zip(due, results, strict=True)}, updates


def with_own_knowledge(features: FeatureSettings, user_ids: Sequence[str]) -> int:
    """How many of these users have knowledge in force that knowledge of clusters does not replace."""
    with connect(features.redis_url) as client, redis_errors():
        reader = FeatureReader(client, Keys(features.namespace))
        modes = [
            row["knowledge_mode"]
            for start in range(0, len(user_ids), 1000)
            for row in reader.read("user_knowledge", list(user_ids[start : start + 1000]), ["knowledge_mode"])
            if row is not None
        ]
    return sum(1 for mode in modes if mode and mode != KnowledgeMode.COLLECTIVE.value)


def _same_user(new: Knowledge, in_force: Knowledge) -> bool:
    """Whether they say the same; a row knows neither tokens nor the time of the answer."""

    def said(one: Knowledge) -> tuple[object, ...]:
        sources = (one.mode, one.model, one.template_version, one.catalogue_version, one.source_rev)
        return (one.factors, one.expectations or Expectations(), *sources)

    return said(new) == said(in_force)


def _same_item(new: Knowledge, row: dict[str, Any]) -> bool:
    stored = (
        json.loads(row["item_factors"] or "{}"),
        row["item_knowledge_mode"],
        row["item_knowledge_model"],
        row["item_knowledge_template_version"],
    )
    return stored == (new.factors, new.mode.value, new.model, new.template_version)
