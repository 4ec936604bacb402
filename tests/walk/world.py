"""The one stack of these tests with everything that talks to it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import redis
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from ranking.release import Release
from reki.stack import processes
from reki.stack.stack import Stack
from serving.client import Recommendation, RekiClient
from streams.await_applied import Applied, AppliedWaiter, Tier
from streams.producer import BehaviorProducer
from streams.store import StateStore
from streams.tokens import BehaviorToken
from streams.topics import TopicNames
from tests.walk.cast import Cast

TIMEOUT_S = 60.0  # of one wait: generous, for machines that do other things too
LIVE_S = 400.0  # the embedded LLM takes 15 s on two quiet cores, and minutes on busy ones


@dataclass
class World:
    """Real services, small data.

    `temporary` is TMPDIR of the stack's processes; `mapped` are files in /dev/shm that they were seen to use, and the
    folder of the supervisor's socket.
    """

    stack: Stack
    cast: Cast
    release: Release
    temporary: Path
    mapped: set[str] = field(default_factory=set)

    @cached_property
    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.stack.settings.feature_repo.redis_url)

    @property
    def namespace(self) -> str:
        return self.stack.settings.feature_repo.namespace

    @property
    def feast_repo(self) -> Path:
        return self.stack.settings.feature_repo.feast_repo

    @property
    def is_kafka(self) -> bool:
        """Not the last-resort broker, which can do less."""
        return self.stack.broker_name.startswith("Apache Kafka")

    @property
    def names(self) -> TopicNames:
        return TopicNames(self.namespace)

    @property
    def bootstrap(self) -> str:
        return self.stack.settings.streams.kafka_bootstrap

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.namespace)

    @cached_property
    def reader(self) -> FeatureReader:
        return FeatureReader(self.redis, self.keys)

    @cached_property
    def states(self) -> StateStore:
        return StateStore(self.redis, self.keys, self.stack.settings.streams.ring_size)

    @cached_property
    def offline(self) -> OfflineBuffer:
        return OfflineBuffer(self.stack.settings.feature_repo.offline_dir)

    @cached_property
    def waiter(self) -> AppliedWaiter:
        return AppliedWaiter(self.redis, self.namespace)

    @cached_property
    def client(self) -> RekiClient:
        return RekiClient(self.stack.settings.serving)

    @cached_property
    def producer(self) -> BehaviorProducer:
        return self.new_producer()

    def new_producer(self, timeout_s: float = 20.0) -> BehaviorProducer:
        """One more; close it."""
        streams = self.stack.settings.streams
        return BehaviorProducer(
            self.bootstrap, self.namespace, last_resort=streams.kafka_last_resort, timeout_s=timeout_s
        )

    def recommend(self, user_id: str, items: list[str] | None = None) -> Recommendation:
        """Triton's answer."""
        return self.client.recommend(user_id, items or self.cast.candidates(user_id), deadline_s=30.0)

    def publish(self, *events) -> list[BehaviorToken]:
        """Publish and wait until all count in the experienced tier."""
        tokens = self.producer.publish_many(events)
        for token in tokens:
            assert isinstance(self.waiter.wait(token, Tier.EXPERIENCED, TIMEOUT_S), Applied)
        return tokens

    def command(self, *arguments: str) -> str:
        """What the `reki` command says in a clone whose stack this is; fails where it does."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("reki")), *arguments],
            env={**os.environ, "REKI_STATE_DIR": str(self.stack.run_dir.parent)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def read(self, view: str, user_id: str) -> dict[str, Any] | None:
        """A user's online row."""
        return self.reader.read(view, [user_id], slot="blue")[0]

    def until_noted(self, user_id: str, rev: int) -> None:
        """Wait until the user's state knows of the knowledge that has seen `rev` events."""
        wait_until(lambda: self.states.read(user_id).refreshed_rev >= rev, what="the state's note of the refresh")

    def send_raw(self, key: bytes, value: bytes) -> BehaviorToken:
        """Publish bytes that no client of ours would."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap)
        try:
            placed = producer.send(self.names.behavior, key=key, value=value).get(timeout=20)
        finally:
            producer.close()
        topic_id = self.redis.hget(self.names.topic_ids_key, self.names.behavior).decode()
        return BehaviorToken(key.decode(), topic_id, placed.partition, placed.offset, "raw")

    def records(self, topic: str) -> list[Any]:
        """Everything on a topic; read until nothing comes for a second (the last-resort broker's ends are wrong)."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, consumer_timeout_ms=1000)
        try:
            parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
            consumer.assign(parts)
            consumer.seek_to_beginning()
            return list(consumer)
        finally:
            consumer.close()

    def letters(self) -> Mapping[str, Any]:
        """Dead letters by "partition-offset" of topic `behavior`."""
        letters = self.records(self.names.dead_letters)
        prefix = f"{self.names.behavior}-"
        return {record.key.decode().removeprefix(prefix): record for record in letters}

    def offline_rows(self, view: str, user_id: str) -> list[dict[str, Any]]:
        """A user's rows of a physical view."""
        import lance

        return lance.dataset(str(self.offline.path(view))).to_table(filter=f"user_id = '{user_id}'").to_pylist()

    def look_at_files(self) -> None:
        """Note what the stack's processes have open or mapped in /dev/shm, and its control socket's folder."""
        for pid in processes.marked(self.stack.run_dir):
            try:
                maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
            except OSError:
                continue
            paths = (line[line.index("/dev/shm/") :] for line in maps if "/dev/shm/" in line)
            self.mapped |= {path.removesuffix(" (deleted)") for path in paths}
        self.mapped.add(json.loads((self.stack.run_dir / "stack.json").read_text())["socket_dir"])

    def close(self) -> None:
        """Let go of the services; those that were never asked for stay unmade."""
        for name in ("producer", "client", "redis"):
            if name in self.__dict__:
                self.__dict__[name].close()


def wait_until(condition, timeout_s: float = TIMEOUT_S, what: str = "it"):
    """Poll a condition; its value as soon as it is true."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen in {timeout_s} s")
