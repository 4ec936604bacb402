"""The report of `reki evaluate rerank`: JSON, Markdown, plots."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ranking.evaluate.holm import holm
from ranking.evaluate.lists import Kind
from ranking.evaluate.rerank import ORDERS, ListScores, ListTable
from ranking.evaluate.svg import Point, dots
from ranking.evaluate.targets import ERROR

METRICS = ("map7", "ndcg7")
TARGET = 0.08  # of `ours` over the initial order, on lists drawn by popularity
_NAMES = {"map7": "MAP@7", "ndcg7": "NDCG@7"}
_DIGITS = 5


@dataclass(frozen=True)
class RerankReport:
    """Everything that was measured, by kind of lists."""

    dataset: str
    folds: int
    seeds: int
    commit: str
    tables: Mapping[Kind, ListTable]
    missing: Sequence[str] = ()

    def files(self) -> dict[str, str]:
        """Texts by file name."""
        made = {"rerank.json": json.dumps(self.json(), indent=1) + "\n", "rerank.md": self.markdown()}
        for kind, table in self.tables.items():
            gains: dict[str, list[Point]] = {}
            for reranker, found in table.items():
                for name, other in found.items():
                    if "ours" in found and name not in ("ours", "popularity"):
                        low, middle, high = found["ours"].ndcg7.over(other.ndcg7).interval()
                        gains.setdefault(reranker, []).append((f"over {name}", 100 * low, 100 * middle, 100 * high))
            if gains:
                title = f"Relative gain of ours in NDCG@7, negatives drawn by {_DRAWN[kind]}"
                made[f"rerank-gain-{kind}.svg"] = dots(title, "NDCG@7 gain, %", gains, zero=True)
        return made

    def json(self) -> dict[str, Any]:
        """`rerank.json`: `backbones` are the rerankers on lists drawn by popularity; `uniform` has those of the others.

        Gains are fractions; intervals are [low, observed, high] at 95 %.
        """
        head = {"dataset": self.dataset, "folds": self.folds, "seeds": self.seeds, "commit": self.commit}
        page: dict[str, Any] = {**head, "backbones": _rows(self.tables.get("popularity", {}))}
        if "uniform" in self.tables:
            page["uniform"] = {"backbones": _rows(self.tables["uniform"])}
        return page

    def markdown(self) -> str:
        """`rerank.md`."""
        lines = [
            "## Reranking",
            "",
            f"{self.dataset}, {self.folds} folds over all users x {self.seeds} seeds, commit {self.commit}. Lists of "
            "ten: up to four real next interactions (relevant = liked) among items that the user never rates. "
            "`initial` is the order of a DIN without knowledge that has not seen the user. Lists in which nothing is "
            "liked are left out of the means. Gains of `ours` with 95 % intervals over 2,000 draws of whole users.",
            "",
            "That DIN learned to tell liked from disliked, and not rated from never rated. So what `plain` gains over "
            "`initial` is learning on lists; knowledge is what `ours` gains over `plain` and `no_user_llm`.",
        ]
        if self.missing:
            lines += ["", f"**Unfinished: {len(self.missing)} runs are missing; what lacks a run is left out.**"]
        for kind, table in self.tables.items():
            lines += ["", f"### Negatives drawn by {_DRAWN[kind]}", ""]
            lines += [
                "| reranker | variant | MAP@7 | NDCG@7 | ours: MAP@7 | ours: NDCG@7 |",
                "|---|---|---|---|---|---|",
            ]
            for reranker, found in table.items():
                for name, scores in found.items():
                    cells = [f"{scores.mean(metric):.4f}" for metric in METRICS]
                    gains = ["", ""]
                    if name != "ours" and "ours" in found:
                        gains = [_percent(found["ours"], scores, metric) for metric in METRICS]
                    lines.append(f"| {' | '.join([reranker, name, *cells, *gains])} |")
            lines += _targets(table)
        return "\n".join(lines) + "\n"


_DRAWN = {"popularity": "popularity", "uniform": "a uniform draw"}


def _rows(table: ListTable) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for reranker, found in table.items():
        rows = made[reranker] = {}
        for name, scores in found.items():
            rows[name] = {metric: round(scores.mean(metric), _DIGITS) for metric in METRICS}
            rows[name]["by_fold_seed"] = [[round(value, _DIGITS) for value in run] for run in scores.runs]
            if name != "ours" and "ours" in found:
                rows[name]["ours_minus"] = {
                    f"{metric}_relative": [
                        round(value, _DIGITS)
                        for value in getattr(found["ours"], metric).over(getattr(scores, metric)).interval()
                    ]
                    for metric in METRICS
                }
    return made


def _targets(table: ListTable) -> list[str]:
    gains = {
        (reranker, metric): getattr(found["ours"], metric).over(getattr(found[ORDERS[0]], metric))
        for reranker, found in table.items()
        if "ours" in found and ORDERS[0] in found
        for metric in METRICS
    }
    if not gains:
        return []
    adjusted = holm({key: gain.chance() for key, gain in gains.items()})
    sure = [key for key, gain in gains.items() if gain.interval()[0] > 0 and adjusted[key] < ERROR]
    met = [key for key in sure if gains[key].observed >= TARGET]
    failed = [f"{reranker} ({_NAMES[metric]})" for reranker, metric in gains if (reranker, metric) not in met]
    said = f"; not met: {', '.join(failed)}" if failed else ""
    return ["", f"Target of {TARGET:+.0%} over `initial`, Holm-corrected: met on {len(met)} of {len(gains)}{said}."]


def _percent(ours: ListScores, other: ListScores, metric: str) -> str:
    low, middle, high = (100 * value for value in getattr(ours, metric).over(getattr(other, metric)).interval())
    return f"{middle:+.2f} % [{low:+.2f}, {high:+.2f}]"
