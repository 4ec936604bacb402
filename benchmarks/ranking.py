"""What the matching head costs at request time, and what the stream worker's vectors cost per batch.

    .venv/bin/python benchmarks/ranking.py --out ranking.json [--threads 1] [--seconds 2] [--recommend]

forward.<device>.<backbone>.<users>x<candidates>  one forward pass of the ranker, in process: `plain` is the backbone on
                ids and history alone, `strong` has the user's statistics beside it, `ours` all that `VARIANTS["ours"]`
                reads. They take turns, so that a busy moment hits all. Ratios and candidates per second are
                of the process's processor time (on a GPU of the wall clock). CPU, and CUDA where there is one.
experienced_many  100 users with 100 items each to vectors (aim: below 10 ms)
recommend       with `--recommend`: through Triton and the gRPC client, a `strong` and an `ours` release in two servers
                that take turns (aim: `ours` at most 1.25 times `strong` at concurrency 1), and the bytes that the
                reader fetches of a user and an item

Weights are drawn: they cost the same.
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
from dataclasses import dataclass
from pathlib import Path

# Run as a script, this file's folder comes first on the path, where it would be taken for the package `ranking`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch

from encoders.experienced import experienced_many
from encoders.history import effective
from ranking.backbones import BACKBONES
from ranking.collaborative import RANK
from ranking.model import Ranker
from ranking.shape import RankerShape
from ranking.variants import HEAD_HIDDEN, VARIANTS

HISTORY = 50
SHAPES = ((1, 100), (64, 100))
RANKERS = ("plain", "strong", "ours")


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
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, call in calls.items():
            begin, used = time.perf_counter(), time.process_time()
            call()
            times[name].append(((time.perf_counter() - begin) * 1e3, (time.process_time() - used) * 1e3))
    return {
        name: {
            "p50_ms": round(statistics.median(wall for wall, _ in own), 3),
            "p99_ms": round(float(np.quantile([wall for wall, _ in own], 0.99)), 3),
            "cpu_p50_ms": round(statistics.median(cpu for _, cpu in own), 3),
            "n": len(own),
        }
        for name, own in times.items()
    }


def network(backbone: str, name: str) -> Ranker:
    groups = tuple(VARIANTS[name].groups)
    return drawn(
        RankerShape(
            vocabulary=1684,
            backbone=backbone,
            knowledge=bool(groups),
            groups=groups,
            summaries=False,
            collaborative=RANK,
            head_hidden=HEAD_HIDDEN,
            head_reweighs=True,
        )
    )


def drawn(shape: RankerShape) -> Ranker:
    torch.manual_seed(1)
    ranker = Ranker(shape).eval().requires_grad_(False)
    if ranker.head is not None:
        for name, table in ranker.head.state_dict().items():
            if table.is_floating_point() and name not in ("mean", "scale"):
                table.copy_(torch.randn_like(table) * 0.2)
    return ranker


def forward(device: torch.device, backbones: list[str], seconds: float) -> dict[str, object]:
    found: dict[str, object] = {}
    for backbone in backbones:
        networks = {name: network(backbone, name).to(device) for name in RANKERS}
        for users, count in SHAPES:
            batch = tensors(networks["plain"].shape, users, count, device)

            def once(ranker: Ranker, batch: dict[str, torch.Tensor] = batch) -> None:
                with torch.inference_mode():
                    ranker(batch)
                if device.type == "cuda":
                    torch.cuda.synchronize()

            rows = take_turns({name: lambda n=n: once(n) for name, n in networks.items()}, seconds)
            by = "p50_ms" if device.type == "cuda" else "cpu_p50_ms"
            for row in rows.values():
                row["candidates_per_s"] = round(users * count / row[by] * 1e3)
            found[f"{backbone}.{users}x{count}"] = rows | {
                f"ours_over_{base}": round(rows["ours"][by] / rows[base][by], 2) for base in ("plain", "strong")
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


def machine(threads: int) -> dict[str, str | int]:
    """The processor, the GPU where there is one, and the threads on the processor."""
    about: dict[str, str | int] = {"processor": processor(), "threads": threads, "torch": torch.__version__}
    return about | ({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {})


def processor() -> str:
    """Its model name where Linux says one, else what Python says, else the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="per variant")
    parser.add_argument("--recommend", action="store_true", help="through Triton too: takes some minutes")
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES), choices=list(BACKBONES))
    parser.add_argument("--requests", type=int, default=300, help="of `recommend`, per round and variant")
    parser.add_argument("--rounds", type=int, default=7, help="of `recommend`")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    devices = [torch.device("cpu")] + ([torch.device("cuda")] if torch.cuda.is_available() else [])
    found = {
        "machine": machine(chosen.threads),
        "forward": {device.type: forward(device, chosen.backbones, chosen.seconds) for device in devices},
        "experienced_many": experienced(chosen.seconds),
    }
    if chosen.recommend:
        from benchmarks.ranking_recommend import recommend

        found["recommend"] = recommend(chosen.requests, chosen.rounds)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
