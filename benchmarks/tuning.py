"""The grid behind `ranking/tuned.py`: learning rates of each backbone and of its embeddings, on `strong` and `ours`.

    .venv/bin/python -m benchmarks.tuning --data DIR --encodings DIR --out docs/results/tuning.json

Six points, seed 0, judged by validation users' AUC on the split "design", which no headline number is computed on.
Of points that are alike the one that trains in the fewest epochs is chosen. Finished points are kept in the output and
not trained again.
"""

import argparse
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no types

from ranking.evaluate.plan import BACKBONES
from ranking.fit import FitOptions
from ranking.fold import FoldMaterial, build_fold
from ranking.variants import EPOCHS, train_variant

VARIANTS = ("strong", "ours")
GRID = [(rate, share) for rate in (1e-3, 2e-3) for share in (1.0, 0.1, 0.03)]
_ALIKE = 0.0005  # less than what another seed changes
Point = tuple[str, str, float, float]


@cache
def _material(data: Path, encodings: Path) -> FoldMaterial:
    return build_fold(data, encodings, Path(os.environ.get("REKI_CACHE", ".reki/cache")) / "folds", "design")


def measure(data: Path, encodings: Path, point: Point) -> dict[str, float]:
    """Train one point; AUC on validation users."""
    backbone, variant, rate, share = point
    torch.set_num_threads(1)
    with threadpool_limits(1):
        material = _material(data, encodings)
        options = replace(FitOptions(epochs=EPOCHS), learning_rate=rate, embedding_rate=share)
        run = train_variant(material, backbone, variant, 0, options=options)
    label = material.label[torch.from_numpy(run.valid_numbers)].numpy()
    return {"auc": round(float(roc_auc_score(label, run.valid)), 5), "epochs": run.epochs, "cpu_s": round(run.cpu_s, 1)}


def main() -> None:
    """Fill the grid."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encodings", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbones", default=",".join(BACKBONES))
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    found = json.loads(args.out.read_text()) if args.out.exists() else {}
    points = [(b, v, *cell) for b in args.backbones.split(",") for v in VARIANTS for cell in GRID]
    points = [point for point in points if _name(point) not in found.get(point[0], {}).get(point[1], {})]
    _material(args.data, args.encodings)  # built once, then read by all
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.workers, mp_context=context) as pool:
        waiting = {pool.submit(measure, args.data, args.encodings, point): point for point in points}
        for done in as_completed(waiting):
            point = waiting[done]
            found.setdefault(point[0], {}).setdefault(point[1], {})[_name(point)] = done.result()
            print(*point, done.result(), flush=True)
            args.out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    for backbone, variants in found.items():
        print(backbone, {variant: choose(points) for variant, points in variants.items()})


def choose(points: dict[str, dict[str, float]]) -> str:
    """The point with the best AUC; of those within `_ALIKE` of it, the one with the fewest epochs."""
    best = max(row["auc"] for row in points.values())
    return min((name for name, row in points.items() if row["auc"] >= best - _ALIKE), key=lambda n: points[n]["epochs"])


def _name(point: Point) -> str:
    return f"learning rate {point[2]:g}, embeddings {point[3]:g} of it"


if __name__ == "__main__":
    main()
