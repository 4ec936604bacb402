"""The report on freshness: numbers from predictions of every row, Markdown and plots from the numbers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranking.evaluate.bootstrap import Drawn, UserPairs, drawn, drawn_means
from ranking.evaluate.freshness import BINS, FOUR, HELD, Table, bin_of
from ranking.evaluate.metrics import Floats, Numbers, auc, by_user, gauc
from ranking.evaluate.svg import curves

# AUC over all, each user's own AUC, each user's own AUC within a bin; the last two weighted by samples.
METRICS = ("auc", "gauc", "bin_gauc")
# Named in knowledge/data/ml-100k/README.md: whose later ratings the writer had glimpsed, and whom it recalled vaguely.
GLIMPSED = ("2", "5", "11", "15", "16", "42")
RECALLED = (
    *("1", "92", "181", "194", "234", "303", "334", "363", "393", "405", "409", "416", "435", "497", "498", "532"),
    *("537", "551", "588", "618", "655", "666", "727", "749", "758", "774", "796", "826", "846", "868", "871", "889"),
    "943",
)
_DIGITS = 5
Page = dict[str, Any]
Logits = Mapping[str, Sequence[Floats]]  # backbone -> of each seed, one logit a row of the table


def numbers(table: Table, logits: Logits, minutes: Floats, about: Mapping[str, Any]) -> Page:
    """`freshness.json`. Values are AUC and GAUC, differences absolute, intervals [low, observed, high] at 95 %.

    `minutes`: of each measured user from the snapshot to their last event.
    """
    everybody = np.ones(len(table.user), dtype=np.bool_)
    kept = {
        "all": everybody,
        "without_glimpsed": ~_of(table, GLIMPSED),
        "without_glimpsed_and_recalled": ~_of(table, (*GLIMPSED, *RECALLED)),
    }
    backbones: Page = {}
    for backbone, seeds in logits.items():
        bins = []
        for place, events in enumerate(BINS):
            part = bin_of(table.elapsed) == place
            if part.any():
                bins.append({"events": list(events), **_part(table, seeds, part, tuple(table.ways))})
        backbones[backbone] = {
            **_part(table, seeds, everybody, tuple(table.ways)),
            "bins": bins,
            "leave_out": {
                name: _part(table, seeds, part, tuple(dict.fromkeys((*FOUR, *HELD))))
                for name, part in kept.items()
                if part.any()
            },
        }
    return {
        **about,
        "users": len(table.users),
        "samples": len(table.user),
        "refreshed": {way: round(float(table.refreshed(way).mean()), _DIGITS) for way in table.ways},
        "minutes_of_later_events": [round(float(m), 1) for m in np.percentile(minutes, [25, 50, 75])],
        "backbones": backbones,
    }


def _of(table: Table, users: Sequence[str]) -> np.ndarray:
    return np.isin(np.array(table.users)[table.user], users)


def _part(table: Table, seeds: Sequence[Floats], part: np.ndarray, ways: Sequence[str]) -> Page:
    """Every way on these samples, with its differences to others; draws are paired."""
    user, label = table.user[part], table.label[part]
    group = user * len(BINS) + bin_of(table.elapsed[part])
    found: dict[str, dict[str, Drawn]] = {}
    made: Page = {"users": len(np.unique(user)), "samples": int(part.sum()), "positives": int(label.sum()), "ways": {}}
    for way in ways:
        rows = table.ways[way][part]
        single = [logit[rows].astype(np.float64) for logit in seeds]
        mean = np.mean(single, axis=0)
        pairs = [UserPairs.of(user, label, mean)]
        found[way] = {metric: drawn(pairs, metric) for metric in ("auc", "gauc")}
        found[way]["bin_gauc"] = drawn_means([(user, _own(group, label, mean))])
        made["ways"][way] = {
            **{metric: round(found[way][metric].observed, _DIGITS) for metric in METRICS},
            "by_seed": [[round(auc(label, one), _DIGITS), round(gauc(user, label, one), _DIGITS)] for one in single],
            "refreshed": round(float(table.refreshed(way)[part].mean()), _DIGITS),
        }
    for other in ("frozen", "following", "following_held"):
        for way in ways:
            if way != other:
                made["ways"][way][f"minus_{other}"] = {
                    metric: [round(value, _DIGITS) for value in mine.minus(found[other][metric]).interval()]
                    for metric, mine in found[way].items()
                }
    return made


def _own(group: Numbers, label: Floats, score: Floats) -> Floats:
    """For each sample the AUC within its group, NaN where the group has one class alone."""
    made = np.empty(len(group))
    for rows in by_user(group):
        made[rows] = auc(label[rows], score[rows])
    return made


def files(page: Page) -> dict[str, str]:
    """Texts by file name."""
    made = {"freshness.json": json.dumps(page, indent=1) + "\n", "freshness.md": markdown(page)}
    for backbone, found in page["backbones"].items():
        made[f"freshness-auc-{backbone}.svg"] = _plot(f"{backbone}: AUC", "auc", FOUR, found["bins"])
        made[f"freshness-gauc-{backbone}.svg"] = _plot(
            f"{backbone}: GAUC within a bin", "bin_gauc", HELD, found["bins"]
        )
    return made


def _plot(name: str, metric: str, ways: Sequence[str], bins: Sequence[Page]) -> str:
    # A bin stands at its middle; the last one, open, at its beginning. Lines are set apart so that bars do not cover
    # each other.
    lines: dict[str, list[tuple[float, float]]] = {}
    bars: dict[str, list[tuple[float, float]]] = {}
    for shift, way in zip((-2.0, 0.0, 2.0), ways[1:], strict=True):
        for one in bins:
            low, middle, high = one["ways"][way]["minus_frozen"][metric]
            first, last = one["events"]
            lines.setdefault(way, []).append((shift + (first if last is None else (first + last) / 2), middle))
            bars.setdefault(way, []).append((low, high))
    title = f"{name} above the frozen snapshot, with 95 % intervals over users"
    return curves(title, ("events between the snapshot and the sample", "gain"), lines, bars=bars)


def markdown(page: Page) -> str:
    """`freshness.md`."""
    quarter, half, most = page["minutes_of_later_events"]
    lines = [
        "## What freshness is worth",
        "",
        f"{page['dataset']}, split of seed 1234, `ours` with {page['seeds']} seed{'s' if page['seeds'] > 1 else ''}, "
        f"commit {page['commit']}. Measured are the {page['users']} validation and test users with refreshed "
        f"knowledge, on their {page['samples']} later samples; training and early stopping saw none of them. Each "
        "network is trained once and scores every sample four ways: history and knowledge of the snapshot (`frozen`), "
        "the newest refresh of the LLM's expectations (`refreshed`), history, statistics and experienced vectors that "
        "follow every event (`following`), `both`. Differences are absolute, with 95 % intervals over 2,000 draws of "
        "whole users.",
        "",
        "The network was trained with knowledge of the snapshot alone, for there are no refreshes of training users. A "
        "network that is trained on refreshed knowledge might make more of it; this says what a release as we train it "
        "makes of it.",
    ]
    if page.get("missing"):
        lines += ["", f"**Unfinished: missing are {', '.join(page['missing'])}.**"]
    lines += [
        "",
        "GAUC needs care here. A score that moves with the user's latest values, as `following` does, compares a "
        "user's samples at different times: after a like everything later stands higher, so likes lie below what "
        "follows them, and coin flips scored with their own running mean get a GAUC far below 0.5. So GAUC as it "
        "stands counts against `following`, most of all in short bins. A ranker orders candidates at one moment: "
        "`_held` shows all samples of a bin what was there when the bin began, right after the refresh, and compares "
        "within the bin.",
    ]
    for backbone, found in page["backbones"].items():
        lines += ["", f"### {backbone}", "", *_said(found)]
        for name, metric, ways in (
            ("AUC", "auc", FOUR),
            ("GAUC", "gauc", FOUR),
            ("GAUC within a bin, held", "bin_gauc", HELD),
        ):
            lines += ["", *_bins(name, metric, ways, found)]
        lines += ["", *_ways(found, page["refreshed"])]
        lines += ["", *_leave_out(found["leave_out"])]
    shares = [f"{page['refreshed'][f'both{suffix}']:.0%}" for suffix in ("", "_30s", "_10min", "_1d")]
    lines += [
        "",
        f"What a delay takes: the share of samples that see any refresh is {shares[0]} without one, {shares[1]} after "
        f"30 seconds, {shares[2]} after 10 minutes, {shares[3]} after a day. People rate a long list in one sitting: "
        f"from the snapshot to a user's last rating it is {_time(half)} in the median (quartiles {_time(quarter)} and "
        f"{_time(most)}). Where people come back daily, a day is another thing.",
    ]
    return "\n".join(lines) + "\n"


def _time(minutes: float) -> str:
    if minutes < 120:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 2880 else f"{minutes / 1440:.0f} days"


def _said(found: Page) -> list[str]:
    """What the intervals over all samples say."""
    lines = []
    for title, auc_of, gauc_of in (
        ("Following every event, over the frozen snapshot", ("following", "frozen"), ("following_held", "frozen")),
        ("Refreshed knowledge alone, over the frozen snapshot", ("refreshed", "frozen"), ("refreshed", "frozen")),
        (
            "Refreshed knowledge where events are followed already (`both` over `following`)",
            ("both", "following"),
            ("both_held", "following_held"),
        ),
    ):
        parts = []
        for name, metric, (way, other) in (("AUC", "auc", auc_of), ("GAUC within a bin, held", "bin_gauc", gauc_of)):
            interval = found["ways"][way][f"minus_{other}"][metric]
            parts.append(f"{name} {_cell(interval)} ({_sure(interval)})")
        lines.append(f"* {title}: {'; '.join(parts)}.")
    return lines


def _bins(name: str, metric: str, ways: Sequence[str], found: Page) -> list[str]:
    follows, both = ways[2:]
    lines = [
        f"| events since the snapshot | users | samples | with a refresh | {name}: `frozen` | `refreshed` "
        f"| `{follows}` | `{both}` | `{both}` over `{follows}` |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in [*found["bins"], found]:
        low, high = one.get("events", ("all", ""))
        title = "all" if low == "all" else f"{low} to {high}" if high is not None else f"{low} or more"
        of = one["ways"]
        cells = [title, str(one["users"]), str(one["samples"]), f"{of[both]['refreshed']:.0%}"]
        cells += [f"{of['frozen'][metric]:.4f}", *(_cell(of[way]["minus_frozen"][metric]) for way in ways[1:])]
        lines.append(f"| {' | '.join([*cells, _cell(of[both][f'minus_{follows}'][metric])])} |")
    return lines


def _ways(found: Page, shares: Mapping[str, float]) -> list[str]:
    lines = [
        "All samples, every way. `_30s`, `_10min`, `_1d`: a refresh is readable so long after its trigger. "
        "`_own_values`: of a refresh, only the user's own values at anchors that they have rated since; the LLM's "
        "answer stays the first. `_counting`: the events since the knowledge are told although the history does not "
        "show them; `_from_snapshot`: counted from the snapshot, as in training, whatever the knowledge has seen.",
        "",
        "| way | with a refresh | AUC | GAUC | within a bin | AUC over frozen | GAUC over frozen | AUC over following "
        "| GAUC over following |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for way, one in found["ways"].items():
        cells = [f"`{way}`", f"{shares[way]:.0%}", *(f"{one[metric]:.4f}" for metric in METRICS)]
        for other in ("frozen", "following"):
            cells += [_cell(one[f"minus_{other}"][m]) if f"minus_{other}" in one else "" for m in METRICS[:2]]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _leave_out(parts: Page) -> list[str]:
    names = {
        "all": "all",
        "without_glimpsed": "without those whose later ratings the writer of refreshes had glimpsed",
        "without_glimpsed_and_recalled": "and without those whom the writer recalled vaguely",
    }
    lines = [
        "| users | | `refreshed` over `frozen`: AUC | GAUC within a bin | `both` over `following`: AUC "
        "| held: GAUC within a bin |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in parts.items():
        ways = one["ways"]
        cells = [names[name], str(one["users"])]
        cells += [_cell(ways["refreshed"]["minus_frozen"][metric]) for metric in ("auc", "bin_gauc")]
        cells += [
            _cell(ways["both"]["minus_following"]["auc"]),
            _cell(ways["both_held"]["minus_following_held"]["bin_gauc"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cell(interval: Sequence[float]) -> str:
    low, middle, high = interval
    return f"{middle:+.4f} [{low:+.4f}, {high:+.4f}]"


def _sure(interval: Sequence[float]) -> str:
    low, _, high = interval
    return "a gain" if low > 0 else "a loss" if high < 0 else "not told apart from nothing"
