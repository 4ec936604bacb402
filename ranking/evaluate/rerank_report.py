"""The report of `reki evaluate rerank`: JSON, Markdown, plots."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ranking.evaluate.lists import Kind
from ranking.evaluate.rerank import ListTable, WantedLists
from ranking.evaluate.rerank_fit import EPOCHS
from ranking.evaluate.rerank_targets import METRICS, glance, percent, verdicts
from ranking.evaluate.svg import Point, dots
from ranking.evaluate.targets import provisional

_DIGITS = 5
_DRAWN = {"popularity": "popularity", "uniform": "a uniform draw"}


@dataclass(frozen=True)
class RerankReport:
    """Everything that was measured, by kind of lists."""

    dataset: str
    wanted: WantedLists
    commit: str
    tables: Mapping[Kind, ListTable]
    missing: Sequence[str] = ()

    def files(self) -> dict[str, str]:
        """Texts by file name."""
        made = {
            "rerank.json": json.dumps(self.json(), indent=1) + "\n",
            "rerank_details.json": json.dumps(self.details(), indent=1) + "\n",
            "rerank.md": self.markdown(),
        }
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
        head = {"dataset": self.dataset, "folds": self.wanted.folds, "seeds": self.wanted.seeds, "commit": self.commit}
        page: dict[str, Any] = {**head, "backbones": _rows(self.tables.get("popularity", {}))}
        if "uniform" in self.tables:
            page["uniform"] = {
                "seeds": self.wanted.of("uniform")[1],
                "backbones": _rows(self.tables["uniform"]),
            }
        return page

    def details(self) -> dict[str, Any]:
        """`rerank_details.json`: by kind, reranker and variant, the best epoch and the CPU seconds of each run."""
        return {
            "epochs_at_most": EPOCHS,
            "kinds": {
                kind: {
                    reranker: {
                        name: {"epochs": list(scores.epochs), "cpu_s": [round(value, 1) for value in scores.cpu_s]}
                        for name, scores in found.items()
                    }
                    for reranker, found in table.items()
                }
                for kind, table in self.tables.items()
            },
        }

    def markdown(self) -> str:
        """`rerank.md`."""
        popular = self.tables.get("popularity", {})
        lines = ["## Reranking", "", *provisional(self.wanted.folds, self.wanted.seeds), *verdicts(popular)]
        if self.missing:
            lines += ["", f"**Unfinished: {len(self.missing)} runs are missing; what lacks a run is left out.**"]
        lines += ["", *glance(popular)] if popular else []
        lines += ["", self._conditions(), "", _CAUTION]
        for kind, table in self.tables.items():
            seeds = self.wanted.of(kind)[1]
            drawn = f"### Negatives drawn by {_DRAWN[kind]}, {seeds} seed{'s' if seeds > 1 else ''}"
            lines += ["", drawn, ""]
            lines += [
                "| reranker | variant | MAP@7 | NDCG@7 | ours: MAP@7 | ours: NDCG@7 |",
                "|---|---|---|---|---|---|",
            ]
            for reranker, found in table.items():
                for name, scores in found.items():
                    cells = [f"{scores.mean(metric):.4f}" for metric in METRICS]
                    gains = ["", ""]
                    if name != "ours" and "ours" in found:
                        gains = [percent(found["ours"], scores, metric) for metric in METRICS]
                    lines.append(f"| {' | '.join([reranker, name, *cells, *gains])} |")
        lines += ["", self._trained()]
        return "\n".join(lines) + "\n"

    def _conditions(self) -> str:
        wanted = self.wanted
        return (
            f"{self.dataset}, {wanted.folds} folds over all users, commit {self.commit}. Lists of ten: up to four real "
            "next interactions (relevant = liked) among items that the user never rates. `initial` is the order of a "
            "DIN without knowledge that has not seen the user. Lists in which nothing is liked are left out. Gains are "
            "relative, with 95 % intervals over 2,000 draws of whole users, on scores averaged over seeds."
        )

    def _trained(self) -> str:
        """How long the trainings were, so that nobody has to ask whether the limit cut one off."""
        said = []
        names = dict.fromkeys(reranker for table in self.tables.values() for reranker in table)
        for name in names:
            runs = [scores for table in self.tables.values() for scores in table.get(name, {}).values()]
            epochs = sorted(value for scores in runs for value in scores.epochs if value)
            if epochs:
                said.append(f"{name} {epochs[len(epochs) // 2]} (at most {epochs[-1]})")
        return f"Best epoch, median over all trainings: {', '.join(said)}; the limit is {EPOCHS}." if said else ""


_CAUTION = (
    "That DIN learned to tell liked from disliked, and not rated from never rated: what `plain` gains over `initial` "
    "is learning on lists. What `ours` gains over `plain` is all that the matching head reads, ratings of others "
    "included; what an LLM's knowledge of the user adds is the gain over `no_user_llm`."
)


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
