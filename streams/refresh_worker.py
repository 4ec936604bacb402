"""The refresh worker without Faust around it: connections, the loops, health. One asyncio object."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from encoders.finder import Finder
from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter
from knowledge.base import SystemClock, TransientError
from knowledge.requests import KnowledgeSource
from knowledge.scenario import Scenario
from streams.budget import TokenBudget
from streams.compaction import Compactor
from streams.consumer import ConsumeLoop, LoopOptions
from streams.control import ControlWatcher, RollOut, Slots
from streams.dead_letters import DeadLetters
from streams.due import DueSet
from streams.durability import Durability
from streams.faults import Faults
from streams.forget import Erase
from streams.health import HealthReport, HealthServer
from streams.publisher import Publisher
from streams.redis_calls import connect
from streams.refresh_metrics import RefreshMetrics
from streams.refresh_service import RefreshHandler
from streams.refresher import Refresher
from streams.release_parts import RefreshRelease
from streams.requests import RefreshRequest, encode_request
from streams.scheduler import Scheduler
from streams.settings import StreamSettings
from streams.store import StateStore
from streams.titles import OnlineTitles
from streams.topic_admin import ensure_topics
from streams.topics import TopicNames
from streams.user_encoder import UserEncoder

log = logging.getLogger(__name__)
T = TypeVar("T")
_SILENT_S = 15.0
_TITLES_S, _MISSING_TITLES_S = 60.0, 2.0


class RefreshWorker:
    """`run` until `stop`. Whatever is unexpected ends `run` with an exception: end the process then."""

    def __init__(
        self,
        settings: StreamSettings,
        features: FeatureSettings,
        release: RefreshRelease,
        source: KnowledgeSource,
        titles: OnlineTitles | None = None,
        erase: Erase | None = None,
        scenario: Scenario | None = None,
        finder: Finder | None = None,
    ) -> None:
        self._settings = settings
        self._scenario, self._finder = scenario, finder
        self._features = features
        self._source = source
        self._titles = OnlineTitles(()) if titles is None else titles
        self._names = TopicNames(features.namespace)
        self.worker_id = f"refresh:{settings.worker_id or f'{socket.gethostname()}:{os.getpid()}'}"
        # One thread for the stores: the writer and the state store have one caller. One for the encoder.
        self._io = ThreadPoolExecutor(1, "refresh-io")
        self._cpu = ThreadPoolExecutor(1, "refresh-encoder")
        self._client = connect(features.redis_url)
        self._signals = connect(features.redis_url)  # the control watcher's: another thread
        self._slots = Slots(self._client, features.namespace)
        keys = Keys(features.namespace)
        # Every refresh flushes its own rows: time and count never do.
        offline = OfflineBuffer(features.offline_dir, features.offline_flush_rows, flush_s=3600.0)
        self._writer = FeatureWriter(self._client, keys, offline)
        self.compactor = Compactor(
            self._client,
            features.namespace,
            offline,
            features.offline_compact_s,
            features.offline_keep_versions_s,
            erase,
        )
        self._store = StateStore(self._client, keys, settings.ring_size)
        self.due = DueSet(self._client, features.namespace)
        self._faults = Faults(settings.fault_point, settings.fault_after)
        self._budget = TokenBudget(settings.refresh_token_budget, settings.refresh_tokens_estimate)
        self.metrics = RefreshMetrics(self._budget, source.meter)
        broker, wait_s = settings.kafka_bootstrap, settings.kafka_request_timeout_s
        last_resort = settings.kafka_last_resort
        self.dead_letters = DeadLetters(broker, features.namespace, last_resort=last_resort, timeout_s=wait_s)
        self._publisher = Publisher(broker, last_resort=last_resort, timeout_s=wait_s)
        self._reader = FeatureReader(self._client, keys)
        self.handler = self._handler(self._reader, release)
        self.scheduler = Scheduler(
            self._client, self._store, self.due, settings, self._publish, self._budget, self._io, self._faults
        )
        self.loop = ConsumeLoop(
            LoopOptions(
                bootstrap=broker,
                group_id=self._names.refresh_group,
                topics=(self._names.refresh_requests,),
                poll_records=64,
                commit_interval_s=settings.stream_commit_interval_s,
                commit_records=64,
                session_timeout_s=settings.kafka_session_timeout_s,
                rebalance_timeout_s=settings.kafka_rebalance_timeout_s,
                retry_s=settings.stream_retry_s,
                client_id=self.worker_id.replace(":", "-"),
            ),
            self.handler,
        )
        self._watcher = ControlWatcher(
            broker, features.namespace, self.worker_id, self._signals, self._take_up, last_resort=last_resort
        )
        self.health = HealthServer(settings.refresh_health_port, self.report, self.metrics.registry)
        self._stopping = asyncio.Event()
        self._began = time.monotonic()
        self._trouble = "starting"

    def _handler(self, reader: FeatureReader, release: RefreshRelease) -> RefreshHandler:
        settings, features = self._settings, self._features
        refresher = Refresher(
            redis=self._client,
            slots=self._slots,
            store=self._store,
            due=self.due,
            reader=reader,
            writer=self._writer,
            encoder=UserEncoder(release.condenser, reader, release.release_id, release.anchors, release.shape),
            source=self._source,
            announce=self._announce,
            full_every=settings.refresh_full_every,
            full_drift=settings.refresh_full_drift,
            scenario=self._scenario,
            finder=self._finder,
            clock=SystemClock(),
            io=self._io,
            cpu=self._cpu,
            faults=self._faults,
        )
        durability = Durability(
            features.redis_url, features.namespace, settings.stream_wait_replicas, settings.stream_durable_timeout_s
        )
        return RefreshHandler(
            refresher,
            self.dead_letters.send,
            durability,
            self.metrics,
            settings.refresh_concurrency,
            settings.stream_retry_s,
        )

    async def run(self) -> None:
        """Start everything, serve requests and schedule until `stop`, end in order."""
        self.health.start()
        try:
            if not await self._prepare():
                return
            side = [
                asyncio.create_task(work, name=name)
                for name, work in (
                    ("scheduler", self.scheduler.run()),
                    ("control", self._watcher.run()),
                    ("gauges", self._gauge()),
                    ("titles", self._reload_titles()),
                    ("compaction", self.compactor.run()),
                )
            ]
            reading = asyncio.create_task(self.loop.run(), name="refresh-requests")
            try:
                done, _ = await asyncio.wait({reading, *side}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self.loop.stop()
                for task in side:
                    task.cancel()
                await asyncio.gather(reading, *side, return_exceptions=True)
                await self._close()
        finally:
            self.health.stop()
            self._client.close()
            self._signals.close()

    async def stop(self) -> None:
        """Ask `run` to end; requests that are not finished are read again by the next worker."""
        self._stopping.set()
        self.loop.stop()

    async def _close(self) -> None:
        await self.handler.close()
        await self._watcher.stop()
        await self._publisher.stop()
        await self.dead_letters.stop()
        await self._source.close()
        await self._in_io(self._writer.close)
        self._io.shutdown()
        self._cpu.shutdown()

    async def _prepare(self) -> bool:
        """Wait for broker and Redis; False = stopped before they came."""
        while not self._stopping.is_set():
            try:
                await self._in_io(lambda: ensure_topics(self._settings, self._features.namespace, self._client))
                # Before the first request: a prompt without titles would be a dead letter.
                await self._in_io(lambda: self._titles.load(self._reader))
                await self._watcher.start()
            except TransientError as error:
                if self._trouble != str(error):
                    log.warning("%s", error)
                self._trouble = str(error)
                await asyncio.sleep(self._settings.stream_retry_s)
            else:
                self._trouble = ""
                return True
        return False

    async def _publish(self, request: RefreshRequest) -> None:
        await self._publisher.send(self._names.refresh_requests, *encode_request(request))

    async def _announce(self, user_id: str, value: bytes) -> None:
        await self._publisher.send(self._names.feature_updates, user_id.encode(), value)

    async def _take_up(self, roll_out: RollOut) -> None:
        self._slots.roll_out = roll_out
        # Slots are read, and rows written, in one call on that thread: after this one, none goes by the old rule.
        await self._in_io(lambda: None)

    async def _in_io(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._io, call)

    async def _reload_titles(self) -> None:
        while True:
            await asyncio.sleep(_TITLES_S if self._titles.complete else _MISSING_TITLES_S)
            with suppress(TransientError):  # the loops report an outage
                await self._in_io(lambda: self._titles.load(self._reader))

    async def _gauge(self) -> None:
        while True:
            with suppress(TransientError):
                counts = await self._in_io(self.due.counts)
                for part in ("due", "later", "leased", "waiting"):
                    self.metrics.due.labels(part).set(getattr(counts, part))
            self.metrics.in_flight.set(self.handler.in_flight())
            self.metrics.leading.set(float(self.scheduler.metrics.leading))
            await asyncio.sleep(2.0)

    def report(self) -> HealthReport:
        """For `/health`; also called from the server's thread, so it only reads."""
        loop, scheduler = self.loop, self.scheduler.metrics
        silent_s = time.monotonic() - loop.polled_at
        problems = [text for text in (self._trouble, loop.trouble) if text]
        if not loop.places and not problems:
            problems.append("no partitions assigned: is there a right to read the topic and the group?")
        if loop.places and silent_s > _SILENT_S:
            problems.append(f"no poll for {silent_s:.0f} s: the worker hangs")
        return HealthReport(
            tuple(problems),
            {
                "worker": self.worker_id,
                "uptime_s": round(time.monotonic() - self._began, 1),
                "assignment": [f"{place.topic}-{place.partition}" for place in loop.places],
                "lag": {str(place.partition): behind for place, behind in loop.lag().items()},
                "in_flight": self.handler.in_flight(),
                "progress": {
                    "records": loop.records,
                    "commits": loop.commits,
                    "retreats": loop.retreats,
                    "last_poll_s_ago": round(silent_s, 2),
                    **self.metrics.summary(),
                },
                "scheduler": {
                    "leading": scheduler.leading,
                    "published": scheduler.published,
                    "postponed": scheduler.postponed,
                    "let_go": scheduler.let_go,
                    "errors": scheduler.errors,
                },
                "compaction": {"leading": self.compactor.leading, "rounds": self.compactor.rounds},
                "roll_out": None if self._slots.roll_out is None else self._slots.roll_out.id,
            },
        )
