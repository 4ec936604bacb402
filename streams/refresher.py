"""One refresh: read the user, ask the knowledge source, encode, write, note it in the state. No Kafka here."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from redis import Redis

from encoders.finder import Finder
from feature_repo.reader import FeatureReader
from feature_repo.records import EntityWrite, Outcome
from feature_repo.writer import FeatureWriter
from knowledge.base import Clock, Knowledge, TransientError, micros
from knowledge.incremental import plan, with_changes
from knowledge.requests import Extraction, KnowledgeSource, NoNewerRecord, UserRequest
from knowledge.scenario import Scenario
from streams.control import Slots
from streams.due import DueSet
from streams.faults import Faults
from streams.knowledge_rows import Floats, knowledge_from_row
from streams.redis_calls import redis_errors
from streams.redis_time import redis_micros
from streams.requests import RefreshRequest
from streams.state import UserState
from streams.store import StateStore
from streams.told import ItemTold, items_told
from streams.user_encoder import Encodable, UserEncoder, expected_items, own_values
from streams.user_request import entries_until, user_request

log = logging.getLogger(__name__)


class RefreshEnd(StrEnum):
    """How a request ended."""

    WRITTEN = "written"
    OLD = "old"  # the knowledge in force has seen as many events
    FORGOTTEN = "forgotten"  # the user was forgotten after the request
    NO_NEWER_RECORD = "no_newer_record"


@dataclass(frozen=True)
class Refreshed:
    """One ended request. `extraction` and `written_at` only where something was written."""

    end: RefreshEnd
    request: RefreshRequest
    extraction: Extraction | None = None
    written_at: datetime | None = None


@dataclass(frozen=True)
class _Look:
    """What was read before the source is asked."""

    state: UserState
    previous: Knowledge | None
    told: dict[str, ItemTold]
    end: RefreshEnd | None = None


class Refresher:
    """Serves one request at a time per user (the coalescer sees to that).

    `io` runs everything that talks to the stores (one thread: the writer and the state store have one caller), `cpu`
    runs the encoder, so that an encoding does not hold up the stores. `announce` publishes a feature update and
    returns when the broker has it. With a `scenario`, what it lists of an item's fields is told beside the item's title
    (to LLMs whose limits leave room for it). With a `finder`, each request offers the items found for its user.
    """

    def __init__(
        self,
        *,
        redis: Redis,
        slots: Slots,
        store: StateStore,
        due: DueSet,
        reader: FeatureReader,
        writer: FeatureWriter,
        encoder: UserEncoder,
        source: KnowledgeSource,
        announce: Callable[[str, bytes], Awaitable[None]],
        full_every: int,
        clock: Clock,
        io: Executor,
        cpu: Executor,
        faults: Faults | None = None,
        full_drift: float = 0.0,
        scenario: Scenario | None = None,
        finder: Finder | None = None,
    ) -> None:
        self._redis = redis
        self._slots = slots
        self._store = store
        self._due = due
        self._reader = reader
        self._writer = writer
        self._encoder = encoder
        self._source = source
        self._announce = announce
        self._full_every, self._full_drift = full_every, full_drift
        self._scenario, self._finder = scenario, finder
        self._clock = clock
        self._faults = faults or Faults()
        self._io = io
        self._cpu = cpu

    async def refresh(self, request: RefreshRequest) -> Refreshed:
        """Serve `request`.

        Raises `TransientError` (nothing was written, or all of it may be written again: try later) and
        `TerminalError` (dead-letter the request, then call `fail`).
        """
        look = await self._on_io(self._look, request)
        if look.end is not None:
            return Refreshed(look.end, request)
        if look.previous is not None and look.previous.source_rev > look.state.refreshed_rev:
            # Written, but the crash came before the state knew (window R2): repeat the write, do not ask again.
            done = Extraction(knowledge=look.previous, prompt_hash=None, called=False)
            refreshed = await self._write(request, look.state, done)
            if look.previous.source_rev >= request.source_rev or refreshed.end is not RefreshEnd.WRITTEN:
                return refreshed
            look = await self._on_io(self._look, request)
            if look.end is not None:
                return Refreshed(look.end, request)
        try:
            extraction = await self._source.user(await self._found(self._user_request(request, look)))
        except NoNewerRecord as none:
            await self.fail(request, none.reason)
            return Refreshed(RefreshEnd.NO_NEWER_RECORD, request)
        self._faults.hit("R1")
        if extraction.knowledge.source_rev <= look.state.refreshed_rev:
            await self.fail(request, RefreshEnd.NO_NEWER_RECORD)
            return Refreshed(RefreshEnd.NO_NEWER_RECORD, request)
        changes = with_changes(extraction.knowledge, look.previous)
        return await self._write(request, look.state, replace(extraction, knowledge=changes))

    async def fail(self, request: RefreshRequest, reason: str) -> None:
        """Note that `request` ended without new knowledge; the previous knowledge keeps serving."""
        await self._on_io(self._note_failure, request, reason)

    async def _on_io(self, call: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 - whatever `call` returns
        with redis_errors():
            return await asyncio.get_running_loop().run_in_executor(self._io, call, *args)

    def _look(self, request: RefreshRequest) -> _Look:
        state = self._store.read(request.user_id)
        if state is None or state.forgotten or state.epoch != request.epoch:
            self._due.done(request.user_id, request.source_rev)
            return _Look(state or UserState(request.user_id), None, {}, RefreshEnd.FORGOTTEN)
        if request.source_rev <= state.refreshed_rev:
            self._due.done(request.user_id, request.source_rev)
            return _Look(state, None, {}, RefreshEnd.OLD)
        previous = knowledge_from_row(
            request.user_id, self._reader.read("user_knowledge", [request.user_id], None, None)[0]
        )
        seen = list(dict.fromkeys(entry.item_id for entry in state.ring if entry.rev <= request.source_rev))
        return _Look(state, previous, items_told(self._reader, seen, self._scenario))

    def _user_request(self, request: RefreshRequest, look: _Look) -> UserRequest:
        entries = entries_until(look.state, request.source_rev)
        generation = look.state.generation + 1
        seen = 0 if look.previous is None else look.previous.source_rev
        planned = plan(
            look.previous,
            None,
            generation=generation,
            full_every=self._full_every,
            new_events=sum(entry.rev > seen for entry in entries),
            shown_events=len(entries),
            drift=request.drift,
            full_drift=self._full_drift,
        )
        log.debug("generation %d: %s", generation, planned.reason)
        previous = None if planned.full else look.previous
        return user_request(look.state, request.source_rev, look.told, previous, planned.new_events)

    async def _found(self, question: UserRequest) -> UserRequest:
        """With the items found for this user; of a large catalogue that is no work for the event loop."""
        if self._finder is None:
            return question
        return await asyncio.get_running_loop().run_in_executor(self._cpu, self._finder.found, question)

    async def _write(self, request: RefreshRequest, state: UserState, extraction: Extraction) -> Refreshed:
        """Online rows, offline rows, announcement, state: in this order, so that a crash anywhere repeats the rest.

        The state comes last because it is what makes a repeated request count as served.
        """
        knowledge = extraction.knowledge
        user = Encodable(knowledge, own_values(state.ring, knowledge.source_rev), state.generation + 1)
        loop = asyncio.get_running_loop()
        summaries = await loop.run_in_executor(self._cpu, self._encoder.summaries, [user])
        end, written_at = await self._on_io(self._store_rows, request, state, user, summaries, extraction.prompt_hash)
        if end is RefreshEnd.WRITTEN:
            self._faults.hit("R2-flushed")
            await self._announce(request.user_id, feature_update(knowledge, self._encoder.release_id, written_at))
        if end is not RefreshEnd.FORGOTTEN:
            await self._on_io(self._note_success, request, state, user, written_at)
            self._faults.hit("R5-answered")
        return Refreshed(end, request, extraction, written_at)

    def _store_rows(
        self,
        request: RefreshRequest,
        state: UserState,
        user: Encodable,
        summaries: Floats,
        prompt_hash: str | None,
    ) -> tuple[RefreshEnd, datetime]:
        if prompt_hash is not None and prompt_hash not in state.prompt_hashes:
            # Before the rows: a cached answer whose hash is nowhere could not be erased with its user.
            self._store.update(state.user_id, state.epoch, prompt_hashes=[prompt_hash])
        slots = self._slots.current()  # in the writing thread: a roll-out taken up there is not missed (window R7)
        vectors = self._encoder.item_vectors(expected_items(user.knowledge.expectations), slots[0])
        [rows] = self._encoder.rows([user], summaries, vectors, slots, micros(self._clock.now()))
        [results] = self._writer.write([EntityWrite("user", state.user_id, state.epoch, rows)])
        self._faults.hit("R2")
        self._writer.flush()
        outcomes = {result.outcome for result in results}
        written_at = max(result.event_time for result in results)
        if Outcome.FORGOTTEN in outcomes:
            self._due.done(state.user_id, request.source_rev)
            return RefreshEnd.FORGOTTEN, written_at
        # Stale: what is stored has seen more. The state still learns of it below, or it would ask again.
        return RefreshEnd.OLD if outcomes == {Outcome.STALE} else RefreshEnd.WRITTEN, written_at

    def _note_success(self, request: RefreshRequest, state: UserState, user: Encodable, written_at: datetime) -> None:
        source_rev = user.knowledge.source_rev
        fields: dict[str, Any] = {
            "refreshed_rev": source_rev,
            "refreshed_at": written_at,
            "generation": user.generation,
        }
        [stored] = self._reader.revs("user_knowledge", [state.user_id])
        if stored is None or stored < source_rev:
            # Redis was restarted after the write and has lost it (window E7): noting it now would lose it for good.
            raise TransientError("rows_lost", "the rows just written are gone, Redis was restarted: writing them again")
        if source_rev < request.source_rev:
            # A recorded answer may have seen fewer events than asked for: whoever waits for more is told so.
            fields["refresh_outcome"] = _outcome(request, f"knowledge_of_{source_rev}_events", micros(written_at))
        self._store.update(state.user_id, state.epoch, **fields)
        self._due.done(request.user_id, request.source_rev)

    def _note_failure(self, request: RefreshRequest, reason: str) -> None:
        outcome = _outcome(request, reason, redis_micros(self._redis))
        self._store.update(request.user_id, request.epoch, refresh_outcome=outcome)
        self._due.done(request.user_id, request.source_rev)


def _outcome(request: RefreshRequest, reason: str, at: int) -> dict[str, Any]:
    """The state's field `refresh_outcome`: the last request that ended without knowledge of all it asked for."""
    return {"source_rev": request.source_rev, "reason": reason, "at": at}


def feature_update(knowledge: Knowledge, release: str, written_at: datetime) -> bytes:
    """The message of topic `feature-updates` for a refreshed user; at least once, so by (entity, source_rev).

    `changed` names the factors whose text, and so whose vector, is another than before. It is empty where nobody can
    tell (rows repeated after a crash): take all for changed then; expectations may differ at any time.
    """
    return json.dumps(
        {
            "entity": "user",
            "entity_id": knowledge.entity_id,
            "views": ["user_knowledge", "user_expected"],
            "source_rev": knowledge.source_rev,
            "release": release,
            "changed": list(knowledge.changed),
            "event_time": written_at.isoformat(),
            "schema_version": 1,
        },
        separators=(",", ":"),
    ).encode()
