"""The report of `reki evaluate robust`: JSON, Markdown, plots."""

import json
from collections.abc import Mapping
from typing import Any

from ranking.evaluate.cold_users import CUTS
from ranking.evaluate.robust import Robustness
from ranking.evaluate.robust_numbers import (
    COLD_USERS,
    NOTHING_TOLD,
    TOLERANCE,
    item_numbers,
    item_samples,
    mask_numbers,
    user_numbers,
)
from ranking.evaluate.svg import Point, curves, dots

_PARTS = {
    "id": "item id (unknown item)",
    "item": "item knowledge",
    "expectations": "expectations",
    "history": "history",
    "events": "history and experienced",
}
_KINDS = {"cold": "new items", "others": "other items", "seen": "the same items, trained with"}


def numbers(robust: Robustness, commit: str) -> dict[str, Any]:
    """`robust.json`. Differences are in AUC and GAUC, not relative; intervals are [low, observed, high] at 95 %."""
    names = robust.wanted.backbones
    return {
        "dataset": robust.dataset,
        "folds": robust.wanted.folds,
        "seeds": robust.wanted.seeds,
        "commit": commit,
        "code_versions": sorted(set(robust.runs.versions.values())),
        "missing_runs": robust.missing(),
        "tolerance": TOLERANCE,
        "masks": {name: made for name in names if (made := mask_numbers(robust, name))},
        "cold_users": {name: made for name in names if (made := user_numbers(robust, name))},
        "cold_items": {name: made for name in names if (made := item_numbers(robust, name))},
        "cold_item_samples": next((made for name in names if (made := item_samples(robust, name))), {}),
    }


def markdown(page: Mapping[str, Any]) -> str:
    """`robust.md`."""
    lines = [
        "## Masked parts, new users, new items",
        "",
        f"{page['dataset']}, {page['folds']} folds over all users x {page['seeds']} seeds, commit {page['commit']}, "
        "strict order. Differences are absolute, with 95 % intervals over 2,000 draws of whole users.",
    ]
    if page["missing_runs"]:
        lines += ["", f"**Unfinished: {len(page['missing_runs'])} runs are missing; what lacks a run is left out.**"]
    return "\n".join([*lines, *_mask_lines(page), *_user_lines(page), *_item_lines(page)]) + "\n"


def plots(page: Mapping[str, Any]) -> dict[str, str]:
    """SVG documents by file name; only what there are numbers for."""
    made: dict[str, str] = {}
    costs: dict[str, list[Point]] = {}
    for backbone, found in page["masks"].items():
        for part, row in found["parts"].items():
            low, middle, high = row["minus"]["auc"]
            costs.setdefault(part, []).append((backbone, low, middle, high))
    if costs:
        title = "One release with a part masked, less a model trained without it"
        made["robust-masks.svg"] = dots(title, "difference in AUC", costs, zero=True)
    for backbone, variants in page["cold_users"].items():
        for metric in ("auc", "gauc"):
            lines = {name: [(float(e), rows[str(e)][metric][1]) for e in CUTS] for name, rows in variants.items()}
            bars = {
                name: [(rows[str(e)][metric][0], rows[str(e)][metric][2]) for e in CUTS]
                for name, rows in variants.items()
            }
            title = f"Test users of whom the ranker has seen few events, {backbone}"
            labels = ("own events that the ranker sees", metric.upper())
            made[f"robust-cold-users-{backbone}-{metric}.svg"] = curves(title, labels, lines, bars=bars)
    for backbone, variants in page["cold_items"].items():
        rows = {
            _KINDS[kind]: [(name, *variants[name][kind]["auc"]) for name in variants if kind in variants[name]]
            for kind in _KINDS
        }
        title = f"Items that nobody had rated in training, {backbone}"
        made[f"robust-cold-items-{backbone}.svg"] = dots(title, "AUC", {k: r for k, r in rows.items() if r})
    return made


def files(robust: Robustness, commit: str) -> dict[str, str]:
    """Texts by file name."""
    page = numbers(robust, commit)
    return {"robust.json": json.dumps(page, indent=1) + "\n", "robust.md": markdown(page), **plots(page)}


def _mask_lines(page: Mapping[str, Any]) -> list[str]:
    if not page["masks"]:
        return []
    lines = [
        "",
        "### One release with a part masked, and a model trained without it",
        "",
        f"Wanted: no more than {TOLERANCE} AUC below. `ours` is one network, trained with parts hidden at random; "
        "each model beside it had the part hidden always.",
        "",
        "| backbone | part | AUC masked | trained without | difference in AUC | in GAUC | within |",
        "|---|---|---|---|---|---|---|",
    ]
    for backbone, found in page["masks"].items():
        lines.append(f"| {backbone} | nothing | {found['full']['auc']:.4f} | | | | |")
        for part, row in found["parts"].items():
            said = "surely" if row["surely_within"] else "yes" if row["within"] else "no"
            aucs = [f"{row[side]['auc']:.4f}" for side in ("masked", "without")]
            cells = [backbone, _PARTS[part], *aucs, *(_signed(row["minus"][m]) for m in ("auc", "gauc")), said]
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", '"Surely": the lower end of the interval is within, too.']


def _user_lines(page: Mapping[str, Any]) -> list[str]:
    if not page["cold_users"]:
        return []
    lines = [
        "",
        "### New users: the ranker sees the first few of a user's own events, and no later one",
        "",
        "The samples are those of the headline, and so are the networks: none was trained for short histories (the "
        "shortest that training shows is that of a user's first sample, 10 events). Without events the history is "
        f"masked. `{NOTHING_TOLD}` is `ours` with the expectations masked. Knowledge was recorded after 10 to 30 "
        "events of the user: with fewer, the knowledge service knew more than the ranker's log. Knowledge from a "
        "profile alone, as of a user who has done nothing yet, was not recorded: nothing here says what it is worth.",
    ]
    heads = [*(str(events) for events in CUTS), "full"]
    for metric in ("auc", "gauc"):
        lines += ["", f"| {metric.upper()} | variant | {' | '.join(heads[:-1])} events | all |"]
        lines.append("|---" * (2 + len(heads)) + "|")
        for backbone, variants in page["cold_users"].items():
            for variant, row in variants.items():
                cells = [f"{row[cut][metric][1]:.4f}" for cut in heads]
                lines.append(f"| {backbone} | {variant} | {' | '.join(cells)} |")
    lines += ["", "What `ours` is better by:", "", "| backbone | than | events | AUC | GAUC |", "|---|---|---|---|---|"]
    for backbone, variants in page["cold_users"].items():
        for variant in [name for name in COLD_USERS if name in variants and name != "ours"]:
            for cut in heads:
                minus = variants[variant][cut].get("ours_minus")
                if minus is not None:
                    gains = [_signed(minus[metric]) for metric in ("auc", "gauc")]
                    lines.append(f"| {backbone} | {variant} | {cut} | {' | '.join(gains)} |")
    return lines


def _item_lines(page: Mapping[str, Any]) -> list[str]:
    if not page["cold_items"]:
        return []
    samples = page["cold_item_samples"]
    lines = [
        "",
        "### New items: a tenth of the items, never seen in training",
        "",
        f"{samples['cold']} test samples are of these items, {samples['others']} of others. The models saw none of "
        "their ratings but those of the test user's own history, where they are unknown items with known texts. "
        '"Trained with" are models of the section above, on the samples of the same items.',
        "",
        "| backbone | variant | samples of | AUC | GAUC | ours: AUC | ours: GAUC |",
        "|---|---|---|---|---|---|---|",
    ]
    for backbone, variants in page["cold_items"].items():
        for kind, said in _KINDS.items():
            for variant, row in variants.items():
                if kind in row:
                    cells = [backbone, variant, said, *(f"{row[kind][metric][1]:.4f}" for metric in ("auc", "gauc"))]
                    minus = row[kind].get("ours_minus")
                    cells += [_signed(minus[metric]) if minus else "" for metric in ("auc", "gauc")]
                    lines.append(f"| {' | '.join(cells)} |")
    return lines


def _signed(interval: list[float]) -> str:
    low, middle, high = interval
    return f"{middle:+.4f} [{low:+.4f}, {high:+.4f}]"
