"""The handler of topic `behavior`: parse, apply, project; dead-letter what cannot be; report what is finished."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import redis

from feature_repo.writer import FeatureWriter
from knowledge.base import Action, Polarity, TerminalError
from streams.consumer import Place, Progress
from streams.dead_letters import DeadLetters
from streams.durability import Durability, place_key
from streams.events import ForgetUser, parse_event
from streams.faults import Faults
from streams.forget import Forgetting
from streams.projection import Projection
from streams.redis_calls import redis_errors
from streams.settings import StreamSettings
from streams.state import Arrival, ForgetArrival, UserResult
from streams.store import StateStore
from streams.stream_metrics import StreamMetrics

log = logging.getLogger(__name__)
_FORGET_AGAIN_EVERY_S = 10.0


class Reading(Protocol):
    """What a scenario makes of an action."""

    @property
    def value(self) -> float:
        """The number."""
        ...

    @property
    def polarity(self) -> Polarity:
        """Liked, neutral or disliked."""
        ...


class ActionReader(Protocol):
    """`knowledge.scenario.Scenario`, as far as events need it."""

    def outcome(self, action: Action, value: float | None) -> Reading:
        """Raises `TerminalError` (`bad_value`)."""
        ...


@dataclass
class Parts:
    """What the handler works with; put together by `streams.stream_app`."""

    settings: StreamSettings
    namespace: str
    scenario: ActionReader
    client: redis.Redis
    store: StateStore
    projection: Projection
    writer: FeatureWriter
    forgetting: Forgetting
    durability: Durability
    dead_letters: DeadLetters
    topic_ids: Callable[[], Mapping[str, str]]
    metrics: StreamMetrics = field(default_factory=StreamMetrics)
    faults: Faults = field(default_factory=Faults)


@dataclass
class _Batch:
    """Records of one poll on their way: what waits to be applied, and what turned out to be hopeless."""

    waiting: list[Arrival] = field(default_factory=list)
    records: dict[str, list[Any]] = field(default_factory=dict)  # user -> the records behind `waiting`
    bad: list[tuple[Any, TerminalError]] = field(default_factory=list)


class BehaviorHandler:
    """`streams.consumer.Handler` of topic `behavior`.

    Everything synchronous runs in one worker thread, so that the event loop, on which the group's heartbeat lives, is
    never blocked; waiting for Redis' fsync has a second thread, so that new events do not wait behind it.
    """

    def __init__(self, parts: Parts, highwater: Callable[[Place], int | None] = lambda place: None) -> None:
        self._parts = parts
        self.highwater = highwater
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="behavior")
        self._settler = ThreadPoolExecutor(1, thread_name_prefix="settle")
        self._begun = False  # server and offset lines are known; again after every void and rebalance
        self._ids: Mapping[str, str] = {}
        self._applied: dict[str, int] = {}  # as of the last assignment
        self._unchecked: set[Place] = set()
        self._forget_again_at = time.monotonic() + _FORGET_AGAIN_EVERY_S

    async def handle(self, records: Mapping[Place, Sequence[Any]], progress: Progress) -> None:
        """One micro-batch, finished when this returns."""
        self._parts.faults.hit("E1")
        began = time.monotonic()
        bad = await self._in_worker(self._work, records)
        for record, error in bad:
            await self._give_up(record, error)
        for place, batch in records.items():
            progress.done_all(place, [record.offset for record in batch])
        self._parts.metrics.batch_seconds.observe(time.monotonic() - began)

    def ready(self) -> bool:
        """There is always room: a batch is finished before the next is taken."""
        return True

    async def flush(self) -> None:
        """Offline rows to disk."""
        await self._in_worker(self._parts.writer.flush)
        self._parts.faults.hit("E5c")

    async def settle(self, offsets: Mapping[Place, int]) -> None:
        """Wait for Redis' fsync."""
        applied = {self._place_key(place): offset - 1 for place, offset in offsets.items()}
        began = time.monotonic()
        await asyncio.get_running_loop().run_in_executor(self._settler, self._parts.durability.settle, applied)
        self._parts.metrics.settle_seconds.observe(time.monotonic() - began)

    async def assigned(self, places: Sequence[Place]) -> None:
        """Learn the ids of the offset lines: a topic may have been made anew since."""
        self._unchecked = set(places)
        self._begun = False

    async def voided(self) -> None:
        """Nothing in flight survives a call of `handle`; the settled server is taken anew with the next batch."""
        self._begun = False

    async def close(self) -> None:
        """Flush what is buffered and end the threads."""
        await self._in_worker(self._parts.writer.close)
        self._worker.shutdown(wait=True)
        self._settler.shutdown(wait=True)
        self._parts.durability.close()

    async def _in_worker(self, call: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401
        return await asyncio.get_running_loop().run_in_executor(self._worker, call, *args)

    # --- in the worker thread

    def _begin(self) -> None:
        self._parts.durability.begin()
        self._ids = self._parts.topic_ids()
        self._applied = self._parts.durability.applied()
        self._begun = True

    def _work(self, records: Mapping[Place, Sequence[Any]]) -> list[tuple[Any, TerminalError]]:
        if not self._begun:
            self._begin()
        batch = _Batch()
        for place, own in records.items():
            self._check_line(place)
            for record in own:
                self._take(record, batch)
        self._apply(batch)
        if time.monotonic() >= self._forget_again_at:
            self._parts.forgetting.again()
            self._forget_again_at = time.monotonic() + _FORGET_AGAIN_EVERY_S
        return batch.bad

    def _check_line(self, place: Place) -> None:
        """Stop where the log is shorter than what was applied of it: its new events would be taken for old ones."""
        if place not in self._unchecked:
            return
        self._unchecked.discard(place)
        high = self.highwater(place)
        applied = self._applied.get(self._place_key(place), -1)
        if self._parts.settings.kafka_last_resort or high is None or high > applied:
            return
        raise TerminalError(
            "log_shrunk",
            f"{place.topic}-{place.partition} ends at offset {high - 1}, but offset {applied} of it was applied: the "
            "broker has lost events. Restore it, or delete the topic and make it anew: it then gets a new topic id and "
            "its events count as new",
        )

    def _take(self, record: Any, batch: _Batch) -> None:  # noqa: ANN401 - aiokafka's ConsumerRecord
        topic_id = self._ids[record.topic]
        try:
            event = parse_event(record.key, record.value)
            if isinstance(event, ForgetUser):
                self._apply(batch)  # what the user did before, first
                self._forget(ForgetArrival(event.user_id, topic_id, record.partition, record.offset))
                return
            reading = self._parts.scenario.outcome(event.action, event.value)
        except TerminalError as error:
            batch.bad.append((record, error))
            return
        arrival = Arrival(event, reading.value, reading.polarity, topic_id, record.partition, record.offset)
        batch.waiting.append(arrival)
        batch.records.setdefault(event.user_id, []).append(record)

    def _apply(self, batch: _Batch) -> None:
        if not batch.waiting:
            return
        parts = self._parts
        if parts.faults.active("E2"):
            parts.store.apply(batch.waiting[: len(batch.waiting) // 2])
        parts.faults.hit("E2")
        results = parts.store.apply(batch.waiting)
        refused = parts.projection.project(results)
        for user_id, error in refused.items():
            batch.bad += [(record, error) for record in batch.records[user_id]]
        self._count(results, batch)
        batch.waiting, batch.records = [], {}

    def _count(self, results: Sequence[UserResult], batch: _Batch) -> None:
        metrics = self._parts.metrics
        now_ms = time.time() * 1000
        for result in results:
            for verdict in result.verdicts:
                metrics.count("applied" if verdict.applied else verdict.reason)
        for own in batch.records.values():
            metrics.visible_seconds.observe(max(0.0, now_ms - own[-1].timestamp) / 1000)

    def _forget(self, arrival: ForgetArrival) -> None:
        if self._parts.forgetting.forget(arrival):
            self._parts.metrics.forgotten.inc()

    # --- dead letters

    async def _give_up(self, record: Any, error: TerminalError) -> None:  # noqa: ANN401
        """Dead letter, acknowledged; then the note for `await_applied`. Only then the record is finished."""
        if self._parts.faults.active("E6"):
            await self._parts.dead_letters.send(record, error, acknowledged=False)
        self._parts.faults.hit("E6")
        await self._parts.dead_letters.send(record, error)
        await self._in_worker(self._note_rejection, record, error.reason)
        self._parts.metrics.dead_letters.labels(error.reason).inc()
        log.warning("%s-%d@%d: %s: %s", record.topic, record.partition, record.offset, error.reason, error)

    def _note_rejection(self, record: Any, reason: str) -> None:  # noqa: ANN401
        place = place_key(self._ids[record.topic], record.partition)
        with redis_errors():
            self._parts.client.set(
                f"{self._parts.namespace}:reject:{place}:{record.offset}", reason, ex=self._parts.settings.reject_ttl_s
            )

    def _place_key(self, place: Place) -> str:
        return place_key(self._ids.get(place.topic, ""), place.partition)
