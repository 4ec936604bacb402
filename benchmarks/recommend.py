"""How fast `recommend` answers, beside what it is built on, in one run on one machine.

    .venv/bin/python benchmarks/recommend.py --out recommend.json [--release FOLDER]

Starts its own Valkey and Triton. 1 user x 100 candidates, 50 items of history, 2,000 items. Variants take turns
within every round, so that a busy moment hits all of them; a figure is the median over rounds.

read.*       in process: our reader with a warm and without a cache, and the Feast SDK reading the same features
recommend.*  through Triton and the gRPC client at concurrency 1, 8 and 32; `noop` answers nothing but shapes in the
             same Triton, so it is the floor that transport and Triton set
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import redis

from feature_repo.keys import Keys
from feature_repo.repo import apply
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter
from ranking.release import Release
from reki.embedded import valkey
from serving.connection import StoreConnection
from serving.export import export_release
from serving.layout import ITEM_FEATURES, USER_FEATURES, feast_layout
from serving.measure import Request, measure
from serving.reader import StoreReader
from serving.settings import ServingSettings
from tests.serving.world import Catalogue, RunningTriton, drawn_release, run_triton

if TYPE_CHECKING:
    from feast import FeatureStore

USERS, ITEMS, CANDIDATES, HISTORY = 200, 2000, 100, 50
CACHES = {"warm": 10_000, "cold": 0}  # rows of the item cache; 0 = every item is read for every request

NOOP = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request.inputs()[1].as_numpy().shape[1]) for request in requests]

    def _answer(self, count):
        text, one = np.array([[b""]], object), np.zeros((1, 1), np.float32)
        tensors = {
            "scores": np.zeros((1, count), np.float32), "order": np.zeros((1, count), np.int32),
            "item_fallback": np.zeros((1, count), np.uint8), "user_fallback": np.zeros((1, 1), np.uint8),
            "history_age_s": one, "knowledge_age_s": one, "events_since_knowledge": np.zeros((1, 1), np.int32),
            "release": text, "knowledge_version": text, "explanation": text,
        }
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, data) for name, data in tensors.items()])
"""


@dataclass(frozen=True)
class Stores:
    """A Valkey (process `pid`) with Feast's repository on it, and what writes rows as the workers do."""

    settings: FeatureSettings
    store: "FeatureStore"
    catalogue: Catalogue
    pid: int


@contextmanager
def stores_in(folder: Path) -> Iterator[Stores]:
    from feast import FeatureStore

    with valkey.start(folder / "valkey") as server, redis.Redis.from_url(server.url) as client:
        settings = FeatureSettings(
            namespace="benchmark",
            redis_url=server.url,
            offline_dir=folder / "offline",
            registry_path=folder / "registry.db",
            feast_repo=folder / "repo",
        )
        apply(settings)
        keys = Keys(settings.namespace)
        catalogue = Catalogue(settings, client, FeatureWriter(client, keys), keys)
        yield Stores(settings, FeatureStore(repo_path=str(settings.feast_repo)), catalogue, server.pid)


def write_rows(catalogue: Catalogue, release: str, draw: np.random.Generator) -> tuple[list[str], list[str]]:
    """Users and items as the workers write them."""
    items = [f"item:{number}" for number in range(ITEMS)]
    users = [f"user:{number}" for number in range(USERS)]
    for item_id in items:
        catalogue.item(item_id, release)
    for user_id in users:
        history = [items[place] for place in draw.choice(ITEMS, HISTORY, replace=False)]
        catalogue.history(user_id, history, draw.integers(1, 6, HISTORY).astype(float), 60)
        catalogue.experienced(user_id, catalogue.numbers(2, 9, 16), [3.5, 0.6, 1.0, 4.1], 60, release)
        catalogue.expected(user_id, 50, release)
    return users, items


def make_requests(count: int, users: list[str], items: list[str], draw: np.random.Generator) -> list[Request]:
    return [
        (users[draw.integers(USERS)], [items[place] for place in draw.choice(ITEMS, CANDIDATES, replace=False)])
        for _ in range(count)
    ]


def add_noop(models: Path) -> None:
    folder = models / "noop/1"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(NOOP)
    config = (models / "recommend/config.pbtxt").read_text().split("ensemble_scheduling")[0]
    config = config.replace('"recommend"', '"noop"').replace('platform: "ensemble"', 'backend: "python"')
    ragged = config.replace("dims: [-1] }", "dims: [-1] allow_ragged_batch: true }", 1)
    (folder.parent / "config.pbtxt").write_text(ragged + "dynamic_batching {}\n")


def read_in_process(
    readers: dict[str, StoreReader], store: "FeatureStore", slot: str, requests: list[Request]
) -> dict[str, float]:
    """Median milliseconds to read one request's features: ours, and the same features through the Feast SDK."""
    took: dict[str, list[float]] = {name: [] for name in (*readers, "feast_sdk")}
    asked = {
        key: [f"{view.physical(slot)}:{view.feature(name, slot)}" for view, names in views.items() for name in names]
        for key, views in (("user_id", USER_FEATURES), ("item_id", ITEM_FEATURES))
    }
    for user_id, candidates in requests:
        for name, reader in readers.items():
            begin = time.perf_counter()
            read = reader.read([user_id.encode()], [[item_id.encode() for item_id in candidates]])
            took[name].append(time.perf_counter() - begin)
        wanted = [*candidates, *(item_id.decode() for item_id in read.users[0].history)]
        begin = time.perf_counter()
        store.get_online_features(asked["user_id"], [{"user_id": user_id}]).to_dict()
        store.get_online_features(asked["item_id"], [{"item_id": item_id} for item_id in wanted]).to_dict()
        took["feast_sdk"].append(time.perf_counter() - begin)
    return {name: statistics.median(values) * 1000 for name, values in took.items()}


def through_triton(
    tritons: dict[str, RunningTriton], requests: list[Request], rounds: int
) -> dict[str, dict[str, dict[str, float]]]:
    """{variant: {concurrency: figures}}, each figure the median over rounds."""
    variants = {"warm": (tritons["warm"], "recommend"), "cold": (tritons["cold"], "recommend")}
    variants["noop"] = (tritons["warm"], "noop")
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for _ in range(rounds):
        for concurrency in (1, 8, 32):
            for name, (server, model) in variants.items():
                figures = measure(server.grpc_url, requests, concurrency, model=model)
                found.setdefault(name, {}).setdefault(str(concurrency), []).append(figures)
    return {
        name: {
            concurrency: {key: round(statistics.median(one[key] for one in many), 3) for key in many[0]}
            for concurrency, many in by.items()
        }
        for name, by in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--release", type=Path, help="a trained release; default: drawn weights, which cost the same")
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()

    draw = np.random.default_rng(11)
    folder = Path(tempfile.mkdtemp(prefix="reki-benchmark-"))
    vocabulary = {f"item:{number}": 2 + number for number in range(ITEMS)}
    release = Release.load(args.release) if args.release else drawn_release(folder / "releases", vocabulary)
    try:
        with ExitStack() as running:
            stores = running.enter_context(stores_in(folder))
            settings, store = stores.settings, stores.store
            users, items = write_rows(stores.catalogue, release.release_id, draw)
            requests = make_requests(args.requests, users, items, draw)

            layout = feast_layout(stores.catalogue.keys, "blue")
            readers = {
                variant: StoreReader(
                    layout, StoreConnection(settings.redis_url, 5.0), release.release_id, {}, rows, 3600.0
                )
                for variant, rows in CACHES.items()
            }
            readers["warm"].read([b"nobody"], [[item_id.encode() for item_id in items]])
            read = read_in_process(readers, store, "blue", requests[:200])
            for reader in readers.values():
                reader.close()

            tritons = {}
            for name, rows in CACHES.items():
                serving = ServingSettings(item_cache_rows=rows, item_cache_ttl_s=3600.0)
                export_release(folder / name / "models", release, "blue", settings, serving, store=store)
                add_noop(folder / name / "models")
                tritons[name] = running.enter_context(run_triton(folder / name))
            measure(tritons["warm"].grpc_url, [("nobody", items)], 1, warm_up=1)
            recommend = through_triton(tritons, requests, args.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = {
        "candidates": CANDIDATES,
        "history": HISTORY,
        "ranker": f"release {release.release_id}" if args.release else "a release with drawn weights",
        "rounds": args.rounds,
        "read_p50_ms": {name: round(value, 3) for name, value in read.items()},
        "feast_sdk_over_reader": {name: round(read["feast_sdk"] / read[name], 1) for name in ("warm", "cold")},
        "recommend": recommend,
        "noop_rps_over_recommend": {
            concurrency: round(recommend["noop"][concurrency]["rps"] / figures["rps"], 2)
            for concurrency, figures in recommend["warm"].items()
        },
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
