"""`reki-stream`: the Faust application that applies behaviour. No torch, no LLM."""

import asyncio
import logging
import os
import socket
import time
from typing import NoReturn

from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter
from knowledge.base import TransientError
from streams.behavior_service import ActionReader, BehaviorHandler, Parts
from streams.consumer import ConsumeLoop, LoopOptions
from streams.control import ControlWatcher, RollOut, Slots
from streams.dead_letters import DeadLetters
from streams.due import DueSet
from streams.durability import Durability
from streams.faults import Faults
from streams.faust_app import Running, make_app, run_app
from streams.forget import Erase, Forgetting
from streams.health import HealthReport, HealthServer
from streams.item_vectors import ItemVectors
from streams.projection import Projection
from streams.redis_calls import connect
from streams.settings import StreamSettings
from streams.store import StateStore
from streams.stream_metrics import StreamMetrics
from streams.topic_admin import ensure_topics
from streams.topics import TopicNames

log = logging.getLogger(__name__)
_SILENT_S = 15.0  # without a poll for so long the event loop hangs
_UNCOMMITTED_S = 60.0  # with finished records and no commit for so long something is wrong


class StreamWorker:
    """Everything of the stream worker, without Faust: `run` until `stop`."""

    def __init__(
        self, settings: StreamSettings, features: FeatureSettings, scenario: ActionReader, erase: Erase | None = None
    ) -> None:
        self._settings = settings
        self._features = features
        self.worker_id = f"stream:{settings.worker_id or f'{socket.gethostname()}:{os.getpid()}'}"
        self._client = connect(features.redis_url)
        self._signals = connect(features.redis_url)  # the control watcher's: another thread
        self._slots = Slots(self._client, features.namespace)
        self._names = TopicNames(features.namespace)
        self.metrics = StreamMetrics()
        self._dead_letters = DeadLetters(
            settings.kafka_bootstrap,
            features.namespace,
            last_resort=settings.kafka_last_resort,
            timeout_s=settings.kafka_request_timeout_s,
        )
        self.handler = BehaviorHandler(self._parts(scenario, erase))
        self.loop = ConsumeLoop(
            LoopOptions(
                bootstrap=settings.kafka_bootstrap,
                group_id=self._names.behavior_group,
                topics=(self._names.behavior,),
                poll_records=settings.stream_poll_records,
                commit_interval_s=settings.stream_commit_interval_s,
                commit_records=settings.stream_commit_records,
                session_timeout_s=settings.kafka_session_timeout_s,
                rebalance_timeout_s=settings.kafka_rebalance_timeout_s,
                retry_s=settings.stream_retry_s,
                client_id=self.worker_id.replace(":", "-"),
            ),
            self.handler,
        )
        self.handler.highwater = self.loop.highwater
        self._watcher = ControlWatcher(
            settings.kafka_bootstrap,
            features.namespace,
            self.worker_id,
            self._signals,
            self._take_up,
            last_resort=settings.kafka_last_resort,
        )
        self.health = HealthServer(settings.stream_health_port, self.report, self.metrics.registry)
        self._stopping = asyncio.Event()
        self._began = time.monotonic()
        self._trouble = "starting"

    def _parts(self, scenario: ActionReader, erase: Erase | None) -> Parts:
        settings, features, client = self._settings, self._features, self._client
        keys = Keys(features.namespace)
        store = StateStore(client, keys, settings.ring_size)
        faults = Faults(settings.fault_point, settings.fault_after)
        due = DueSet(client, features.namespace)
        offline = OfflineBuffer(features.offline_dir, features.offline_flush_rows, flush_s=3600.0)  # commits flush
        writer = FeatureWriter(client, keys, offline)
        vectors = ItemVectors(
            FeatureReader(client, keys),
            settings.vector_cache_items,
            settings.vector_cache_ttl_s,
            settings.vector_cache_miss_ttl_s,
        )
        return Parts(
            settings=settings,
            namespace=features.namespace,
            scenario=scenario,
            client=client,
            store=store,
            projection=Projection(store, writer, vectors, self._slots, due, settings, faults),
            writer=writer,
            forgetting=Forgetting(client, features.namespace, store, writer, due, settings, erase, faults),
            durability=Durability(
                features.redis_url,
                features.namespace,
                settings.stream_wait_replicas,
                settings.stream_durable_timeout_s,
            ),
            dead_letters=self._dead_letters,
            topic_ids=lambda: ensure_topics(settings, features.namespace, client),
            metrics=self.metrics,
            faults=faults,
        )

    async def run(self) -> None:
        """Start everything, apply events until `stop`, end in order."""
        self.health.start()
        try:
            if not await self._prepare():
                return
            watching = asyncio.create_task(self._watcher.run(), name="control")
            try:
                await self.loop.run()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                await self._watcher.stop()
                await self._dead_letters.stop()
                await self.handler.close()
        finally:
            self.health.stop()
            self._client.close()
            self._signals.close()

    async def stop(self) -> None:
        """Ask `run` to end after the running batch."""
        self._stopping.set()
        self.loop.stop()

    async def _prepare(self) -> bool:
        """Wait for broker and Redis; False = stopped before they came."""
        while not self._stopping.is_set():
            try:
                await asyncio.to_thread(ensure_topics, self._settings, self._features.namespace, self._client)
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

    async def _take_up(self, roll_out: RollOut) -> None:
        self._slots.roll_out = roll_out
        await self.loop.between_batches()  # a batch that has read the old rule is over after this

    def report(self) -> HealthReport:
        """For `/health`; also called from the server's thread, so it only reads."""
        loop = self.loop
        silent_s = time.monotonic() - loop.polled_at
        uncommitted_s = time.monotonic() - loop.committed_at
        waiting = loop.progress.finished_since_commit()
        lag = loop.lag()
        problems = [text for text in (self._trouble, loop.trouble) if text]
        if not loop.places and not problems:
            problems.append("no partitions assigned: is there a right to read the topic and the group?")
        if loop.places and silent_s > _SILENT_S:
            problems.append(f"no poll for {silent_s:.0f} s: the worker hangs")
        if waiting and uncommitted_s > _UNCOMMITTED_S:
            problems.append(f"{waiting} finished records, no commit for {uncommitted_s:.0f} s")
        for place, behind in lag.items():
            self.metrics.lag.labels(str(place.partition)).set(behind or 0)
        self.metrics.retreats.set(loop.retreats)
        return HealthReport(
            tuple(problems),
            {
                "worker": self.worker_id,
                "uptime_s": round(time.monotonic() - self._began, 1),
                "assignment": [f"{place.topic}-{place.partition}" for place in loop.places],
                "lag": {str(place.partition): behind for place, behind in lag.items()},
                "progress": {
                    "records": loop.records,
                    "commits": loop.commits,
                    "retreats": loop.retreats,
                    "last_poll_s_ago": round(silent_s, 2),
                    "last_commit_s_ago": round(uncommitted_s, 2),
                    **self.metrics.totals(),
                },
                "roll_out": None if self._slots.roll_out is None else self._slots.roll_out.id,
            },
        )


def run(
    settings: StreamSettings, features: FeatureSettings, scenario: ActionReader, erase: Erase | None = None
) -> NoReturn:
    """Run the stream worker in this process until SIGTERM or SIGINT.

    `erase` deletes cached LLM answers about a user who is forgotten. Exit codes: 0 after an orderly stop,
    70 after anything unexpected (nothing is lost: the next process reads on from the committed offsets).
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = StreamWorker(settings, features, scenario, erase)
    app = make_app(
        f"{features.namespace}-stream",
        settings.kafka_bootstrap,
        settings.faust_dir,
        session_timeout_s=settings.kafka_session_timeout_s,
    )
    run_app(app, [Running("behavior", worker.run, worker.stop)])
