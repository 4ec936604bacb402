"""One environment per test: a namespace, a folder, and stream workers as real processes. Not a conftest: imported."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.settings import FeatureSettings
from knowledge.base import Action, BehaviorEvent
from reki.embedded.ports import draw
from reki.paths import ROOT
from streams.await_applied import AppliedWaiter
from streams.producer import BehaviorProducer
from streams.redis_calls import connect
from streams.settings import StreamSettings
from streams.store import StateStore
from streams.topic_admin import ensure_topics

START = datetime(2020, 1, 1, tzinfo=UTC)


def event(user, number, item=None, value=4.0, event_id=None):
    """The `number`-th event of a user, one second after the other."""
    return BehaviorEvent(
        event_id=event_id or f"{user}-{number}",
        user_id=user,
        item_id=item or f"item-{number % 7}",
        action=Action.RATE,
        value=value,
        occurred_at=START + timedelta(seconds=number),
    )


class Nursery:
    """The process that all workers are forked from."""

    def __init__(self):
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker_nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


@dataclass
class Worker:
    """A running stream worker."""

    nursery: Nursery
    pid: int
    log: Path
    port: int
    exit_code: int | None = None

    def wait(self, timeout_s=30.0):
        """The exit code, or None if it still runs."""
        if self.exit_code is None:
            self.exit_code = self.nursery.ask(wait=self.pid, timeout_s=timeout_s)
        return self.exit_code

    def kill(self):
        """Kill -9."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait(10)

    def stop(self):
        """SIGTERM; the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def health(self):
        """(status, JSON) of the health page; (0, {}) before it is up."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}


@dataclass
class Streams:
    """A namespace on the session's broker and Redis."""

    settings: StreamSettings
    features: FeatureSettings
    folder: Path
    nursery: Nursery
    workers: list = field(default_factory=list)

    def __post_init__(self):
        self.client = connect(self.features.redis_url)
        self.keys = Keys(self.features.namespace)
        self.store = StateStore(self.client, self.keys, self.settings.ring_size)
        self.reader = FeatureReader(self.client, self.keys)
        self.offline = OfflineBuffer(self.features.offline_dir)
        self.offline.create()
        self.topic_ids = ensure_topics(self.settings, self.features.namespace, self.client)
        self.waiter = AppliedWaiter(self.client, self.features.namespace)

    def producer(self):
        return BehaviorProducer(
            self.settings.kafka_bootstrap, self.features.namespace, last_resort=self.settings.kafka_last_resort
        )

    def start(self, **changes):
        """Start a worker process; `changes` to its settings."""
        port = draw()[0]
        settings = self.settings.model_copy(update={"stream_health_port": port, **changes})
        log = self.folder / f"worker-{len(self.workers)}.log"
        pid = self.nursery.ask(
            start={
                "streams": settings.model_dump(mode="json"),
                "features": self.features.model_dump(mode="json"),
                "log": str(log),
            }
        )
        worker = Worker(self.nursery, pid, log, port)
        self.workers.append(worker)
        return worker

    def close(self):
        for worker in self.workers:
            if worker.wait(0.05) is None:
                worker.kill()
        self.client.close()


def wait_until(condition, timeout_s=20.0, what="it"):
    """Poll a condition; its value as soon as it is true."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen in {timeout_s} s")


def make_streams(bootstrap, valkey, folder, nursery, **changes):
    chosen = {
        "behavior_partitions": 3,
        "kafka_session_timeout_s": 1.5,
        "refresh_min_events": 5,
        "vector_cache_miss_ttl_s": 0.2,
        **changes,
    }
    settings = StreamSettings(kafka_bootstrap=bootstrap, faust_dir=folder / "faust", **chosen)
    features = FeatureSettings(
        namespace=f"streams_{uuid4().hex[:12]}", redis_url=valkey.url, offline_dir=folder / "offline"
    )
    return Streams(settings, features, folder, nursery)
