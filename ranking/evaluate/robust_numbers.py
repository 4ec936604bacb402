"""The numbers of `robust.json`, from the answers of the models. Intervals are [low, observed, high] at 95 %."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranking.evaluate.bootstrap import Drawn
from ranking.evaluate.cold_users import CUTS, cut_name
from ranking.evaluate.masks import PARTS
from ranking.evaluate.robust import ITEMS, METRICS, USERS, Robustness, Scored, drawn_of
from ranking.evaluate.robust_models import WITHOUT
from ranking.evaluate.robust_views import FULL

TOLERANCE = 0.002  # AUC that a masked part may cost against a model trained without it
NOTHING_TOLD = "ours_nothing_told"
COLD_USERS = (*USERS[:-1], NOTHING_TOLD, "ours")
_DIGITS = 5

Metrics = Mapping[str, Drawn]


def mask_numbers(robust: Robustness, backbone: str) -> dict[str, Any]:
    """For each part: `ours` with it masked, the model without it, and the difference; what is complete."""
    ours = robust.views(backbone, "ours")
    if ours is None:
        return {}
    rows: dict[str, Any] = {}
    for part in PARTS:
        without = robust.views(backbone, f"{WITHOUT}{part}")
        if without is None:
            continue
        masked, never = drawn_of(ours[part]), drawn_of(without[FULL])
        minus = minus_of(masked, never)
        rows[part] = {
            "masked": observed(masked),
            "without": observed(never),
            "minus": minus,
            "within": bool(minus["auc"][1] >= -TOLERANCE),
            "surely_within": bool(minus["auc"][0] >= -TOLERANCE),
        }
    return {FULL: observed(drawn_of(ours[FULL])), "parts": rows}


def user_numbers(robust: Robustness, backbone: str) -> dict[str, Any]:
    """Variant -> number of events ("full": all) -> metrics, and what `ours` is better by; what is complete."""
    found: dict[str, dict[str, Metrics]] = {}
    for variant in COLD_USERS:
        told = variant != NOTHING_TOLD
        views = robust.views(backbone, variant if told else "ours")
        if views is not None:
            # Of `ours` without expectations all events are the view in which these are masked.
            names = {str(events): cut_name(events, told) for events in CUTS}
            names["full"] = FULL if told else "expectations"
            found[variant] = {cut: drawn_of(views[name]) for cut, name in names.items()}
    return _against_ours(found)


def item_numbers(robust: Robustness, backbone: str) -> dict[str, Any]:
    """Variant -> `cold`, `others`, `seen` -> metrics, and what `ours` is better by; what is complete."""
    found: dict[str, dict[str, Metrics]] = {}
    for variant in ITEMS:
        answers = robust.new_items(backbone, variant)
        if answers is not None:
            found[variant] = {kind: drawn_of(folds) for kind, folds in answers.items()}
    return _against_ours(found)


def item_samples(robust: Robustness, backbone: str) -> dict[str, int]:
    """How many test samples are of cold items and of others, over all folds."""
    answers = next((a for a in (robust.new_items(backbone, variant) for variant in ITEMS) if a is not None), {})
    return {kind: _samples(answers[kind]) for kind in ("cold", "others") if kind in answers}


def observed(metrics: Metrics) -> dict[str, float]:
    """As observed, without intervals."""
    return {metric: round(metrics[metric].observed, _DIGITS) for metric in METRICS}


def minus_of(mine: Metrics, other: Metrics) -> dict[str, list[float]]:
    """Intervals of differences."""
    return {metric: _interval(mine[metric].minus(other[metric])) for metric in METRICS}


def _against_ours(found: Mapping[str, Mapping[str, Metrics]]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for variant, kinds in found.items():
        rows[variant] = {}
        for kind, metrics in kinds.items():
            row: dict[str, Any] = {metric: _interval(metrics[metric]) for metric in METRICS}
            ours = found.get("ours", {}).get(kind)
            if variant != "ours" and ours is not None:
                row["ours_minus"] = minus_of(ours, metrics)
            rows[variant][kind] = row
    return rows


def _interval(value: Drawn) -> list[float]:
    return [round(number, _DIGITS) for number in value.interval()]


def _samples(folds: Sequence[Scored]) -> int:
    return int(np.sum([len(one.label) for one in folds]))
