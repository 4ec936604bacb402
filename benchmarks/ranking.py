"""What the matching head costs at request time, and what the stream worker's vectors cost per batch. In process.

    .venv/bin/python benchmarks/ranking.py --out ranking.json [--release FOLDER] [--threads 1] [--seconds 2]

forward.<backbone>.<users>x<candidates>.<base|augmented>  one forward pass of the ranker; `base` is the backbone on
                ids and history alone, `augmented` adds the matching head and HEIN's summaries. The two take turns, so
                that a busy moment hits both. CPU, and CUDA where there is one.
experienced_many  100 users with 100 items each to vectors (aim: below 10 ms)

Without a release the weights are drawn: they cost the same.
"""

# ruff: noqa: E402 - the path is put right before our own packages are imported

import argparse
import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

# Run as a script, this file's folder comes first on the path, where it would be taken for the package `ranking`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch

from encoders.experienced import experienced_many
from encoders.history import effective
from ranking.backbones import BACKBONES
from ranking.model import Ranker
from ranking.release import Release
from ranking.shape import RankerShape

HISTORY = 50
SHAPES = ((1, 100), (64, 100))


@dataclass(frozen=True)
class Entry:
    item_id: str
    value: float
    polarity: str
    occurred_at: int
    offset: int
    rev: int


def tensors(shape: RankerShape, users: int, count: int, device: torch.device) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    f, d = shape.factors, shape.dim
    batch = {
        "user_stats": torch.rand(users, shape.statistics),
        "user_experienced": torch.randn(users, 2, f, d),
        "user_expected": torch.randn(users, 2, f, d),
        "user_anchors": torch.randint(0, 6, (users, shape.anchors)).float(),
        "user_summary": torch.randn(users, shape.summary),
        "user_mask": torch.ones(users, 4, dtype=torch.uint8),
        "hist_index": torch.randint(2, shape.vocabulary, (users, HISTORY), dtype=torch.int32),
        "hist_value": torch.randint(1, 6, (users, HISTORY)).float(),
        "hist_vec": torch.nn.functional.normalize(torch.randn(users, HISTORY, f, d), dim=-1),
        "item_index": torch.randint(2, shape.vocabulary, (users, count), dtype=torch.int32),
        "item_vec": torch.nn.functional.normalize(torch.randn(users, count, f, d), dim=-1),
        "item_summary": torch.randn(users, count, shape.summary),
        "item_mask": torch.ones(users, count, dtype=torch.uint8),
    }
    return {name: tensor.to(device) for name, tensor in batch.items()}


def take_turns(calls: dict[str, Callable[[], object]], seconds: float) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - begin) * 1e3)
    return {
        name: {
            "p50_ms": round(statistics.median(own), 3),
            "p99_ms": round(float(np.quantile(own, 0.99)), 3),
            "n": len(own),
        }
        for name, own in times.items()
    }


def forward(release: Release | None, device: torch.device, seconds: float) -> dict[str, object]:
    found: dict[str, object] = {}
    for backbone in BACKBONES:
        shape = release.about.ranker if release else RankerShape(vocabulary=1684)
        shape = replace(shape, backbone=backbone)
        ours = release.ranker() if release and release.model_name == backbone else Ranker(shape).eval()
        networks = {"base": Ranker(replace(shape, knowledge=False)).eval(), "augmented": ours}
        networks = {name: network.to(device) for name, network in networks.items()}
        for users, count in SHAPES:
            batch = tensors(shape, users, count, device)

            def once(network: Ranker, batch: dict[str, torch.Tensor] = batch) -> None:
                with torch.inference_mode():
                    network(batch)
                if device.type == "cuda":
                    torch.cuda.synchronize()

            rows = take_turns({name: lambda n=n: once(n) for name, n in networks.items()}, seconds)
            for row in rows.values():
                row["candidates_per_s"] = round(users * count / row["p50_ms"] * 1e3)
            found[f"{backbone}.{users}x{count}"] = rows | {
                "augmented_over_base": round(rows["augmented"]["p50_ms"] / rows["base"]["p50_ms"], 2)
            }
    return found


def experienced(seconds: float) -> dict[str, float]:
    draw, numbers = random.Random(0), np.random.default_rng(0)
    vectors = {str(i): numbers.standard_normal((9, 16)).astype(np.float32) for i in range(1682)}
    users = [
        effective(
            Entry(str(item), 3.0, draw.choice(["liked", "disliked"]), rev, rev, rev)
            for rev, item in enumerate(draw.sample(range(1682), 100))
        )
        for _ in range(100)
    ]
    return take_turns({"100x100": lambda: experienced_many(users, vectors)}, seconds)["100x100"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--release", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="per variant")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    release = Release.load(chosen.release) if chosen.release else None
    devices = [torch.device("cpu")] + ([torch.device("cuda")] if torch.cuda.is_available() else [])
    found = {
        "machine": {"processor": platform.processor() or platform.machine(), "threads": chosen.threads},
        "release": release.release_id if release else None,
        "forward": {device.type: forward(release, device, chosen.seconds) for device in devices},
        "experienced_many": experienced(chosen.seconds),
    }
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
