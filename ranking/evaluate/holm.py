"""Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979): many claims, one error rate."""

from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K")


def holm(chances: Mapping[K, float]) -> dict[K, float]:
    """Adjusted p-values: reject where it is below the error rate of the whole family."""
    adjusted: dict[K, float] = {}
    worst = 0.0
    for place, (name, chance) in enumerate(sorted(chances.items(), key=lambda pair: pair[1])):
        worst = max(worst, min(1.0, (len(chances) - place) * chance))
        adjusted[name] = worst
    return adjusted
