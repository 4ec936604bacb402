"""The refresh worker as a process on a real broker and a real Valkey: crashes, outages, refusals."""

import json
import os
import signal
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
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter
from knowledge.base import BehaviorEvent, Polarity
from streams.await_applied import Applied, AppliedWaiter, NotChanged, Tier
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
from tests.streams_refresh.llm_double import llm_double
from tests.streams_refresh.parts import ANCHOR_IDS, ITEMS, RELEASE, SHAPE, HashCondenser, items, user

pytestmark = pytest.mark.services
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


@pytest.fixture
def env(kafka, valkey, tmp_path):
    with llm_double() as llm:
        made = Env(kafka.bootstrap, valkey.url, tmp_path, llm)
        yield made
        made.close()


@pytest.fixture(scope="module")
def running(kafka, valkey, tmp_path_factory):
    """One worker for the tests that do not kill it; each uses users of its own."""
    from reki.embedded.ports import draw

    with llm_double() as llm:
        made = Env(kafka.bootstrap, valkey.url, tmp_path_factory.mktemp("refresh"), llm)
        made.port = draw()[0]
        made.start(refresh_health_port=made.port)
        wait_until(lambda: health(made.port)[0] == 200, 40, "the worker")
        yield made
        made.close()


def health(port: int) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


def test_a_changed_user_gets_new_knowledge_and_an_unchanged_one_does_not(running):
    changed, unchanged = running.behave("a", 3), running.behave("b", 2)
    applied = running.waiter.wait(changed, Tier.INDIVIDUAL, 30)
    assert isinstance(applied, Applied)
    assert applied.rev == 13
    assert running.waiter.wait(unchanged, Tier.INDIVIDUAL, 5) == NotChanged("2 new events, 3 needed", 12)
    wait_until(lambda: running.refreshed("a", 13), what="the note in the state")
    assert running.llm.calls == 1
    assert running.reader.revs("user_expected", ["a", "b"], "blue") == [13, 10]
    [row] = running.reader.read("user_knowledge", ["a"])
    assert row["knowledge_model"] == "double"
    assert running.store.read("b").decision["reason"] == "2 new events, 3 needed"
    [written] = running.offline_rows("a", 13)
    assert [written["event_timestamp"]] == running.reader.event_times("user_expected", ["a"], "blue")
    [update] = [json.loads(record.value) for record in running.records(running.names.feature_updates)]
    assert (update["entity_id"], update["source_rev"]) == ("a", 13)
    [request] = running.records(running.names.refresh_requests)
    assert json.loads(request.value)["reason"] == "3 new events, 3 needed"
    wait_until(running.committed, what="the commit")
    assert running.due.counts().leased == 0
    status, page = health(running.port)
    assert (status, page["progress"]["llm_calls"], page["progress"]["written"]) == (200, 1, 1)
    assert page["progress"]["tokens_in"] == 100
    assert page["scheduler"]["published"] == 1


def test_an_llm_that_is_away_is_waited_for_and_nothing_is_lost(running):
    running.llm.mode = "down"
    before = running.llm.calls
    running.behave("c", 3)
    wait_until(lambda: running.llm.calls >= before + 2, what="a second attempt")
    assert running.refreshed("c", 10)
    assert running.reader.revs("user_expected", ["c"], "blue") == [10]
    assert health(running.port)[0] == 200  # waiting is not being ill: it still polls
    running.llm.mode = "ok"
    wait_until(lambda: running.refreshed("c", 13), what="the refresh after the outage")
    assert [r for r in running.records(running.names.dead_letters) if r.key == b"c"] == []


def test_an_answer_that_is_cut_becomes_a_dead_letter_and_the_next_user_is_served(running):
    running.llm.mode = "cut"
    token = running.behave("d", 3)
    outcome = wait_until(lambda: running.store.read("d").refresh_outcome, what="the outcome")
    running.llm.mode = "ok"
    assert (outcome["source_rev"], outcome["reason"]) == (13, "answer_cut")
    assert running.waiter.wait(token, Tier.INDIVIDUAL, 5) == NotChanged("answer_cut", 13)
    assert running.reader.revs("user_expected", ["d"], "blue") == [10]
    letters = running.records(running.names.dead_letters)
    assert b"answer_cut" in [dict(letter.headers)["reason"] for letter in letters]
    running.behave("e", 3)
    wait_until(lambda: running.refreshed("e", 13), what="the next user's refresh")
    running.behave("d", 1)
    wait_until(lambda: running.refreshed("d", 14), what="the refused user's next chance")


def test_a_poison_request_becomes_a_dead_letter_and_the_partition_moves_on(running):
    running.send(running.names.refresh_requests, b"f", b"{not json")
    running.send(running.names.refresh_requests, b"f", None)
    running.behave("f", 3)
    wait_until(lambda: running.refreshed("f", 13), what="the refresh behind the poison")
    letters = [r for r in running.records(running.names.dead_letters) if r.value == b"{not json"]
    assert len(letters) == 1
    assert dict(letters[0].headers)["reason"] == b"bad_request"
    wait_until(running.committed, what="the commit past the poison")


def test_requests_during_a_run_become_one_more_run(running):
    before = running.llm.calls
    running.llm.gate.clear()
    running.behave("g", 3)
    wait_until(lambda: running.llm.calls == before + 1, what="the first call")
    for _ in range(3):
        running.behave("g", 1)
        running.request("g")
    time.sleep(0.5)
    running.llm.gate.set()
    wait_until(lambda: running.refreshed("g", 16), what="the rerun")
    wait_until(running.committed, what="the commit")
    assert running.llm.calls == before + 2
    assert running.reader.revs("user_knowledge", ["g"]) == [16]


def test_profiles_and_items_reach_state_and_online_store(running):
    running.send(running.names.items, b"900", b'{"item_id": "900", "title": "New Film", "fields": {"year": "2026"}}')
    running.send(running.names.items, b"901", b"[]")
    running.send(running.names.profiles, b"h", b'{"user_id": "h", "fields": {"age": "31"}}')
    running.send(running.names.profiles, b"new", b'{"user_id": "new", "fields": {"age": "20"}}')
    wait_until(lambda: running.store.read("new"), what="the new user's profile")
    wait_until(lambda: running.store.read("h").profile == {"age": "31"}, what="the changed profile")
    row = wait_until(lambda: running.reader.read("item_profile", ["900"])[0], what="the item")
    assert row["item_title"] == "New Film"
    assert running.store.read("new").profile == {"age": "20"}
    wait_until(
        lambda: [r for r in running.records(running.names.dead_letters) if r.value == b"[]"], what="the dead letter"
    )
    running.send(running.names.items, b"900", None)
    wait_until(lambda: running.reader.read("item_profile", ["900"]) == [None], what="the withdrawal")


# Point, at which passing: the first belongs to the user whom the crash before has left unfinished.
# The two windows between (offline rows written, state noted) are crashed in test_refresher, without a process.
CRASHES = {"a": ("R1", 1), "b": ("R2", 2), "c": ("R5", 1)}


def test_no_crash_pays_a_call_twice_or_loses_a_refresh(env):
    """Each worker finishes what the one before left behind, then crashes at the next point with the next user."""
    env.settings = env.settings.model_copy(update={"refresh_deadline_s": 300.0})
    left = ""
    for name, (point, passing) in CRASHES.items():
        worker = env.start(fault_point=point, fault_after=passing)
        if left:
            wait_until(lambda who=left: env.refreshed(who, 13), 60, f"{left}'s refresh")
        env.behave(name, 3)
        assert worker.wait(60) == 9, env.logs()
        if point == "R1":
            env.behave(name, 1)  # later events must not change the question that is asked again
        left = name
    last = env.start()
    wait_until(lambda: env.refreshed(left, 13), 60, f"{left}'s refresh")
    wait_until(env.committed, what="the commit")
    users = list(CRASHES)
    assert env.reader.revs("user_knowledge", users) == [13] * len(users)
    assert env.reader.revs("user_expected", users, "blue") == [13] * len(users)
    times = env.reader.event_times("user_expected", users, "blue")
    for name, time_online in zip(users, times, strict=True):
        rows = env.offline_rows(name, 13)
        assert {row["event_timestamp"] for row in rows} == {time_online}, name
    updates = {json.loads(r.value)["entity_id"] for r in env.records(env.names.feature_updates)}
    assert updates == set(users)
    assert env.records(env.names.dead_letters) == []
    assert env.llm.calls == len(users), env.llm.prompts
    last.send_signal(signal.SIGTERM)
    assert last.wait(30) == 0, env.logs()


def test_the_walk_on_the_last_resort_broker(last_resort_broker, valkey, tmp_path):
    with llm_double() as llm:
        env = Env(last_resort_broker.bootstrap, valkey.url, tmp_path, llm, last_resort=True)
        try:
            env.start()
            token = env.behave("a", 3)
            assert isinstance(env.waiter.wait(token, Tier.INDIVIDUAL, 60), Applied), env.logs()
            assert llm.calls == 1
        finally:
            env.close()
