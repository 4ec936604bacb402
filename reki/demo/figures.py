"""Figures of a run: percentiles, and the file `summary.json`."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile (`share` 0.5 = median) of `values`, which must not be empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(milliseconds: Sequence[float]) -> dict[str, float | int]:
    """`{p50, p99, n}` in ms. With few values p99 is simply the largest."""
    if not milliseconds:
        return {"n": 0}
    return {
        "p50": round(percentile(milliseconds, 0.5), 1),
        "p99": round(percentile(milliseconds, 0.99), 1),
        "n": len(milliseconds),
    }


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write `summary.json`; figures that could not be measured are an error of the demo, not NaN in a file."""
    path.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
