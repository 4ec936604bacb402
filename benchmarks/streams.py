"""Throughput of the stream worker beside a bare aiokafka loop on the same topic, and freshness under load.

`.venv/bin/python benchmarks/streams.py --out FILE.json` starts its own broker, Valkey and worker in a temporary folder.
The bare loop only reads (`getmany`, nothing else); the worker parses, applies, projects, writes both stores, commits.
"""

# ruff: noqa: E402 - the two lines on `sys` below must come before the imports that they steer

import argparse
import asyncio
import json
import multiprocessing
import multiprocessing.context
import os
import platform
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles

import numpy as np

# Else this file stands for the room of the same name.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
sys.modules["torch"] = None  # type: ignore[assignment]  # as in the worker: Feast does without

from aiokafka import AIOKafkaConsumer

from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.records import EntityWrite, FeatureRow
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter
from knowledge.base import Action, BehaviorEvent
from knowledge.scenario import load_scenario
from reki.embedded import kafka as kafka_server
from reki.embedded import valkey as valkey_server
from reki.embedded.ports import draw
from reki.paths import cache_dir
from streams.await_applied import AppliedWaiter, Tier
from streams.producer import BehaviorProducer
from streams.redis_calls import connect
from streams.settings import StreamSettings
from streams.stream_app import run
from streams.topic_admin import ensure_topics

Worker = multiprocessing.context.SpawnProcess
START = datetime(2020, 1, 1, tzinfo=UTC)


def make_events(count: int, users: int, items: int) -> list[BehaviorEvent]:
    """`count` ratings of `users` users in random order."""
    draws = np.random.default_rng(1)
    whose, what, stars = (
        draws.integers(users, size=count),
        draws.integers(items, size=count),
        draws.integers(1, 6, count),
    )
    return [
        BehaviorEvent(
            event_id=f"e{number}",
            user_id=f"u{whose[number]}",
            item_id=f"i{what[number]}",
            action=Action.RATE,
            value=float(stars[number]),
            occurred_at=START + timedelta(seconds=number),
        )
        for number in range(count)
    ]


def write_items(features: FeatureSettings, items: int) -> None:
    """Item vectors of one release in slot blue."""
    writer = FeatureWriter(connect(features.redis_url), Keys(features.namespace))
    vectors = np.random.default_rng(2).normal(size=(items, 144)).astype(np.float32)
    writer.write(
        [
            EntityWrite(
                "item",
                f"i{number}",
                0,
                (
                    FeatureRow(
                        "item_vector",
                        {"item_vec": vectors[number], "item_summary": np.zeros(32, np.float32)},
                        1,
                        release="0123456789ab",
                        slot="blue",
                    ),
                ),
            )
            for number in range(items)
        ]
    )


async def bare_loop(bootstrap: str, topic: str, count: int) -> float:
    """Seconds for reading `count` records and doing nothing with them."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id="bare", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    seen, began = 0, 0.0
    try:
        while seen < count:
            batch = await consumer.getmany(timeout_ms=200, max_records=500)
            began = began or time.perf_counter()
            seen += sum(map(len, batch.values()))
    finally:
        await consumer.stop()
    return time.perf_counter() - began


def start_worker(settings: StreamSettings, features: FeatureSettings) -> Worker:
    """The real worker, as a process of its own."""
    worker = multiprocessing.get_context("spawn").Process(
        target=run, args=(settings, features, load_scenario("films")), daemon=True
    )
    worker.start()
    return worker


def progress(port: int) -> dict[str, float]:
    """The worker's own count."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return dict(json.load(answer)["progress"])
    except OSError:
        return {}


def drain(worker: Worker, port: int, count: int) -> float:
    """Events per second between the first sight of progress and the end."""
    first: tuple[float, float] | None = None
    while worker.is_alive():
        seen = progress(port).get("applied", 0)
        now = time.perf_counter()
        if first is None and seen > 0:
            first = (now, seen)
        if seen >= count and first is not None:
            return (count - first[1]) / (now - first[0]) if count > first[1] else float("nan")
        time.sleep(0.05)
    raise RuntimeError(f"the worker ended with exit code {worker.exitcode}")


def freshness(settings: StreamSettings, features: FeatureSettings, rate: int, seconds: float) -> dict[str, float]:
    """From `publish` to readable, for one probe user, while `rate` events a second of others arrive."""
    stop = threading.Event()

    def load() -> None:
        events = make_events(int(rate * (seconds + 5)), 1000, 500)
        with BehaviorProducer(settings.kafka_bootstrap, features.namespace) as producer:
            step, began, sent = max(1, rate // 50), time.monotonic(), 0
            while not stop.is_set() and sent < len(events):
                batch = [e.model_copy(update={"event_id": f"{rate}-{e.event_id}"}) for e in events[sent : sent + step]]
                producer.publish_many(batch)
                sent += step
                time.sleep(max(0.0, began + sent / rate - time.monotonic()))

    loader = threading.Thread(target=load)
    loader.start()
    waiter = AppliedWaiter(connect(features.redis_url), features.namespace)
    waits: dict[str, list[float]] = {"history": [], "experienced": []}
    with BehaviorProducer(settings.kafka_bootstrap, features.namespace) as producer:
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            event = BehaviorEvent(
                event_id=f"probe-{rate}-{number}",
                user_id=f"probe{rate}",
                item_id=f"i{number % 50}",
                action=Action.RATE,
                value=4.0,
                occurred_at=datetime.now(UTC),
            )
            tier = Tier.HISTORY if number % 2 else Tier.EXPERIENCED
            began = time.perf_counter()
            waiter.wait(producer.publish(event), tier, 30)
            waits[tier.value].append(1000 * (time.perf_counter() - began))
            number += 1
            time.sleep(0.02)
    stop.set()
    loader.join()
    result: dict[str, float] = {"events_per_s": rate}
    for tier_name, values in waits.items():
        cuts = quantiles(values, n=100)
        result |= {f"{tier_name}_p50_ms": cuts[49], f"{tier_name}_p99_ms": cuts[98], f"{tier_name}_n": len(values)}
    return result


def main() -> None:
    """Run and write the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path)
    options.add_argument("--events", type=int, default=30_000)
    options.add_argument("--users", type=int, default=2_000)
    options.add_argument("--seconds", type=float, default=8.0)
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="reki-bench-"))
    with (
        kafka_server.start(folder / "kafka", kafka_server.libs(cache_dir())) as broker,
        valkey_server.start(folder / "valkey") as store,
    ):
        port = draw()[0]
        settings = StreamSettings(kafka_bootstrap=broker.bootstrap, stream_health_port=port)
        features = FeatureSettings(namespace="bench", redis_url=store.url, offline_dir=folder / "offline")
        ensure_topics(settings, "bench", connect(store.url))
        OfflineBuffer(features.offline_dir).create()
        write_items(features, 500)
        events = make_events(given.events, given.users, 500)
        with BehaviorProducer(broker.bootstrap, "bench") as producer:
            for start in range(0, len(events), 5000):
                producer.publish_many(events[start : start + 5000])
        bare = given.events / asyncio.run(bare_loop(broker.bootstrap, "bench.behavior", given.events))
        worker = start_worker(settings, features)
        try:
            ours = drain(worker, port, given.events)
            figures = {
                "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
                "events": given.events,
                "users": given.users,
                "bare_loop_events_per_s": round(bare),
                "worker_events_per_s": round(ours),
                "ratio": round(ours / bare, 4),
                "freshness": [freshness(settings, features, rate, given.seconds) for rate in (10, 100, 500)],
            }
        finally:
            worker.terminate()
            worker.join(20)
    text = json.dumps(figures, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
