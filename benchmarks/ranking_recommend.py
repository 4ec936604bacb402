"""`recommend` with a `strong` and an `ours` release, each in a Triton of its own on one Valkey, taking turns.

Called by `benchmarks/ranking.py --recommend`; users, items and requests as in `benchmarks/recommend.py`.
`cpu_ms` is the processor time of a request in everything that it passes (client, Triton and its models' processes,
Valkey): on a machine with other work the milliseconds of a request say how long it waited, and this what it costs.
"""

import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil

from benchmarks.recommend import CANDIDATES, HISTORY, ITEMS, USERS, make_requests, stores_in
from feature_repo import schema
from ranking.collaborative import RANK
from ranking.release import Release
from ranking.shape import RankerShape
from ranking.variants import HEAD_HIDDEN, VARIANTS
from serving.export import export_release
from serving.layout import feast_layout
from serving.measure import Request, measure
from serving.settings import ServingSettings
from tests.serving.world import Catalogue, RunningTriton, drawn_release, run_triton

SLOTS = {"strong": "green", "ours": "blue"}
CONCURRENCY = (1, 8)


def drawn(folder: Path, name: str) -> Release:
    vocabulary = {f"item:{number}": 2 + number for number in range(ITEMS)}
    groups = tuple(VARIANTS[name].groups)
    shape = RankerShape(
        vocabulary=2 + ITEMS,
        groups=groups,
        summaries=False,
        collaborative=RANK,
        head_hidden=HEAD_HIDDEN,
        head_reweighs=True,
    )
    return drawn_release(folder, vocabulary, shape)


def write_rows(catalogue: Catalogue, releases: dict[str, Release], draw: np.random.Generator) -> None:
    """Users and items as the workers write them, for both releases."""
    items = [f"item:{number}" for number in range(ITEMS)]
    for name, release in releases.items():
        for item_id in items:
            catalogue.item(item_id, release.release_id, slot=SLOTS[name], unit=True)
    for number in range(USERS):
        history = [items[place] for place in draw.choice(ITEMS, HISTORY, replace=False)]
        catalogue.history(f"user:{number}", history, draw.integers(1, 6, HISTORY).astype(float), 60)
        for name, release in releases.items():
            vec, where = catalogue.numbers(2, schema.FACTORS, schema.DIM), SLOTS[name]
            catalogue.experienced(f"user:{number}", vec, [3.5, 0.6, 1.0, 4.1], 60, release.release_id, where)
            catalogue.expected(f"user:{number}", 50, release.release_id, slot=where)


def read_bytes(catalogue: Catalogue) -> dict[str, dict[str, int]]:
    """Bytes of each feature that the reader fetches of one user and one item; `fields` are the hash's 4-byte names."""
    layout = feast_layout(catalogue.keys, "blue")
    found = {}
    for entity, entity_id in (("user", "user:0"), ("item", "item:0")):
        fields = layout.fields[entity]
        values = catalogue.client.hmget(layout.key(entity, entity_id.encode()), list(fields.values()))
        sizes = {name: len(value or b"") for name, value in zip(fields, values, strict=True)}
        sizes["fields"] = sum(len(field) for field in fields.values())
        found[entity] = sizes | {"all": sum(sizes.values())}
    return found


def cpu_s(pids: tuple[int, ...]) -> float:
    """Processor seconds that this process, `pids` and their children have used."""
    roots = [psutil.Process(pid) for pid in pids]
    times = [one.cpu_times() for root in roots for one in (root, *root.children(recursive=True))]
    return time.process_time() + sum(one.user + one.system for one in times)


def take_turns(
    tritons: dict[str, RunningTriton], store: int, requests: list[Request], rounds: int
) -> dict[str, object]:
    """Medians over rounds; a ratio is the median of the rounds' own ratios. `store` is Valkey's process."""
    made: dict[int, list[dict[str, dict[str, float]]]] = {}
    for turn in range(rounds):
        for concurrency in CONCURRENCY:
            one = {}
            for name, server in list(tritons.items())[:: 1 if turn % 2 else -1]:
                begin = cpu_s((server.pid, store))
                one[name] = measure(server.grpc_url, requests, concurrency, warm_up=0)
                one[name]["cpu_ms"] = (cpu_s((server.pid, store)) - begin) * 1e3 / len(requests)
            made.setdefault(concurrency, []).append(one)
    found: dict[str, object] = {}
    for concurrency, many in made.items():
        by = {
            name: {key: round(statistics.median(one[name][key] for one in many), 3) for key in many[0][name]}
            for name in tritons
        }
        ratios = {
            key: sorted(round(one["ours"][f"{key}_ms"] / one["strong"][f"{key}_ms"], 3) for one in many)
            for key in ("p50", "cpu")
        }
        found[str(concurrency)] = by | {
            f"ours_over_strong_{key}": {"median": statistics.median(own), "from": own[0], "to": own[-1]}
            for key, own in ratios.items()
        }
    return found


def recommend(count: int, rounds: int) -> dict[str, object]:
    draw = np.random.default_rng(11)
    folder = Path(tempfile.mkdtemp(prefix="reki-benchmark-"))
    try:
        with ExitStack() as running:
            releases = {name: drawn(folder / "releases", name) for name in SLOTS}
            stores = running.enter_context(stores_in(folder))
            write_rows(stores.catalogue, releases, draw)
            items = [f"item:{number}" for number in range(ITEMS)]
            requests = make_requests(count, [f"user:{number}" for number in range(USERS)], items, draw)
            tritons = {}
            for name, release in releases.items():
                models, serving = folder / name / "models", ServingSettings(item_cache_ttl_s=3600.0)
                export_release(models, release, SLOTS[name], stores.settings, serving, store=stores.store)
                tritons[name] = running.enter_context(run_triton(folder / name))
                measure(tritons[name].grpc_url, [("nobody", items), *requests[:20]], 1, warm_up=0)
            return {
                "candidates": CANDIDATES,
                "history": HISTORY,
                "rounds": rounds,
                "bytes_read": read_bytes(stores.catalogue),
                "concurrency": take_turns(tritons, stores.pid, requests, rounds),
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
