"""A refresh worker as its own process, and the world around it: broker, store, counting LLM, loaded users."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import lance
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter
from knowledge.base import BehaviorEvent, Polarity
from streams.await_applied import AppliedWaiter
from streams.backfill import backfill_items, backfill_users
from streams.control import Slots
from streams.due import DueSet
from streams.item_vectors import ItemVectors
from streams.projection import Projection
from streams.redis_calls import connect
from streams.requests import RefreshRequest, encode_request
from streams.settings import StreamSettings
from streams.state import Arrival
from streams.store import StateStore
from streams.tokens import BehaviorToken
from streams.topic_admin import ensure_topics
from streams.topics import TopicNames
from streams.user_encoder import UserEncoder
from tests.streams_refresh.parts import ANCHOR_IDS, ITEMS, RELEASE, SHAPE, HashCondenser, items, user

ROOT = Path(__file__).parents[2]
_numbers = count()


def wait_until(condition, timeout_s=30.0, what="it"):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen in {timeout_s} s")


@dataclass
class Env:
    """A namespace with loaded items and users, a counting LLM, and refresh workers as processes."""

    bootstrap: str
    redis_url: str
    folder: Path
    llm: Any
    last_resort: bool = False
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.namespace = f"refresh_{os.getpid()}_{next(_numbers)}"
        self.names = TopicNames(self.namespace)
        self.settings = StreamSettings(
            kafka_bootstrap=self.bootstrap,
            kafka_last_resort=self.last_resort,
            kafka_session_timeout_s=6.0 if self.last_resort else 1.5,
            refresh_partitions=2,
            faust_dir=self.folder / "faust",
            refresh_min_events=3,
            refresh_settle_s=0.1,
            refresh_debounce_s=0.0,
            refresh_deadline_s=20.0,
            stream_retry_s=0.1,
        )
        self.features = FeatureSettings(
            namespace=self.namespace, redis_url=self.redis_url, offline_dir=self.folder / "offline"
        )
        self.client = connect(self.redis_url)
        keys = Keys(self.namespace)
        self.store = StateStore(self.client, keys, 100)
        self.reader = FeatureReader(self.client, keys)
        self.due = DueSet(self.client, self.namespace)
        self.waiter = AppliedWaiter(self.client, self.namespace)
        self.offline = OfflineBuffer(self.features.offline_dir, flush_s=3600)
        ensure_topics(self.settings, self.namespace, self.client)
        writer = FeatureWriter(self.client, keys, self.offline)
        slots = Slots(self.client, self.namespace)
        self.projection = Projection(
            self.store, writer, ItemVectors(self.reader, 1000, 60, 2), slots, self.due, self.settings
        )
        backfill_items(items(), writer=writer, condenser=HashCondenser(), release_id=RELEASE, slots=["blue"])
        backfill_users(
            [user(name, 10) for name in "abcdefgh"],
            redis=self.client,
            store=self.store,
            writer=writer,
            encoder=UserEncoder(HashCondenser(), self.reader, RELEASE, ANCHOR_IDS, SHAPE),
            projection=self.projection,
            slots=["blue"],
        )

    def start(self, **changes: Any) -> subprocess.Popen[bytes]:
        given = {
            "streams": self.settings.model_copy(update=changes).model_dump(mode="json"),
            "features": self.features.model_dump(mode="json"),
            "knowledge": {
                "llm": "openai",
                "llm_base_url": self.llm.base_url,
                "llm_model": "double",
                "llm_retries": 0,
                "llm_breaker_open_s": 0.2,
                "llm_deadline_s": 60,
                "knowledge_cache_dir": str(self.folder / "answers"),
            },
        }
        with (self.folder / f"worker-{len(self.workers)}.log").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("refresh_main.py")), json.dumps(given)],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.workers.append(process)
        return process

    def behave(self, name: str, number: int) -> BehaviorToken:
        """`number` events of a user, applied and projected as the stream worker does; the last one's token."""
        last = max(entry.offset for entry in self.store.read(name).ring)
        arrivals = [
            Arrival(
                BehaviorEvent(
                    event_id=f"{name}-{offset}",
                    user_id=name,
                    item_id=ITEMS[45 + offset % 10],
                    action="rate",
                    value=5,
                    occurred_at=datetime(2026, 2, 1, tzinfo=UTC),
                ),
                5.0,
                Polarity.LIKED,
                "behavior-id",
                0,
                offset,
            )
            for offset in range(last + 1, last + 1 + number)
        ]
        self.projection.project(self.store.apply(arrivals))
        end = arrivals[-1]
        return BehaviorToken(name, end.topic_id, end.partition, end.offset, end.event.event_id)

    def refreshed(self, name: str, rev: int) -> bool:
        return self.store.read(name).refreshed_rev == rev

    def send(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        producer.send(topic, key=key, value=value).get(10)
        producer.close()

    def request(self, name: str) -> None:
        state = self.store.read(name)
        made = RefreshRequest(
            user_id=name, source_rev=state.rev, epoch=0, requested_at=datetime.now(UTC), reason="test"
        )
        self.send(self.names.refresh_requests, *encode_request(made))

    def records(self, topic: str) -> list[Any]:
        found = []
        with closing(KafkaConsumer(bootstrap_servers=self.bootstrap, consumer_timeout_ms=500)) as consumer:
            places = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            found += list(consumer)
        return found

    def committed(self) -> bool:
        """Whether the group has committed everything on the topic."""
        ends = Counter()
        for record in self.records(self.names.refresh_requests):
            ends[record.partition] = max(ends[record.partition], record.offset + 1)
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            offsets = admin.list_group_offsets([self.names.refresh_group])[self.names.refresh_group]
        done = {tp.partition: placed.offset for tp, placed in offsets.items()}
        return all(done.get(partition) == end for partition, end in ends.items())

    def offline_rows(self, name: str, rev: int) -> list[dict[str, Any]]:
        data = lance.dataset(str(self.offline.path("user_expected_blue")))
        return data.to_table(filter=f"user_id = '{name}' AND source_rev = {rev}").to_pylist()

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("worker-*.log")))

    def close(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.kill()
                process.wait(10)
        self.client.close()


def health(port: int) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}
