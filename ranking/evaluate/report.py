"""The report of `reki evaluate ctr`: what the JSON files hold and the Markdown tables say."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any

from ranking.evaluate.metrics import Floats
from ranking.evaluate.plan import HEADLINE
from ranking.evaluate.summary import Scores
from ranking.evaluate.targets import Claim, Table, claims, only_user_bias

_DIGITS = 5


@dataclass(frozen=True)
class Report:
    """Everything that was measured. `headline`: mean over folds; `blind`: the same, page-blind; `splits`: by name."""

    dataset: str
    folds: int
    seeds: int
    commit: str
    headline: Table
    blind: Table = field(default_factory=dict)
    splits: Mapping[str, Table] = field(default_factory=dict)
    missing: Sequence[str] = ()  # names of runs without a result
    versions: Sequence[str] = ()  # code versions of the results

    def ctr_json(self) -> dict[str, Any]:
        """`ctr.json`. Gains are fractions: 0.04 = +4 %; intervals are [low, observed, high] at 95 %."""
        backbones: dict[str, Any] = {}
        for backbone, variants in self.headline.items():
            rows = backbones[backbone] = {}
            for variant, found in variants.items():
                row = rows[variant] = {
                    "auc": _short(found.mean("auc")),
                    "gauc": _short(found.mean("gauc")),
                    "logloss": _short(found.mean("logloss")),
                    "by_fold_seed": [[_short(run.auc), _short(run.gauc)] for run in found.runs],
                }
                blind = self.blind.get(backbone, {}).get(variant)
                if blind is not None:
                    row["page_blind"] = {"auc": _short(blind.mean("auc")), "gauc": _short(blind.mean("gauc"))}
                if variant != "ours" and "ours" in variants:
                    row["ours_minus"] = _gains(variants["ours"], found)
        head = {"dataset": self.dataset, "folds": self.folds, "seeds": self.seeds, "commit": self.commit}
        return {**head, "backbones": backbones}

    def details_json(self) -> dict[str, Any]:
        """`ctr_details.json`: everything that `ctr.json` has no place for."""
        tables = {"headline": self.headline, "page_blind": self.blind, **self.splits}
        return {
            "dataset": self.dataset,
            "commit": self.commit,
            "code_versions": sorted(self.versions),
            "missing_runs": list(self.missing),
            "targets": {
                name: [{**asdict(claim), "met": claim.met} for claim in claims(table)] for name, table in tables.items()
            },
            "tables": {
                name: {
                    backbone: {variant: _all(variants, variant) for variant in variants}
                    for backbone, variants in table.items()
                }
                for name, table in tables.items()
            },
        }

    def markdown(self) -> str:
        """`ctr.md`."""
        seen = f"{self.folds} folds over all users x {self.seeds} seeds" if self.folds else "no folds"
        lines = [
            "## Click-through rate",
            "",
            f"{self.dataset}, {seen}, commit {self.commit}. Means over folds and seeds; AUC pools all samples of a "
            "fold, GAUC compares within a user. Gains of `ours` are relative, on the seeds' mean, with 95 % intervals "
            "over 2,000 draws of whole users (the same draws for both sides).",
        ]
        if self.missing:
            lines += ["", f"**Unfinished: {len(self.missing)} runs are missing; what lacks a run is left out.**"]
        lines += _table("### Strict order", self.headline)
        lines += _targets(claims(self.headline)) + _losses(self.headline)
        lines += _table("### Page-blind: inputs see earlier seconds only", self.blind)
        lines += _targets(claims(self.blind)) + _losses(self.blind)
        for name, table in self.splits.items():
            lines += _table(_SPLITS.get(name, f"### Split {name}"), table)
        return "\n".join(lines) + "\n"


_SPLITS = {
    "design": "### Seed-1234 split, used for design: inputs were chosen on it, so it proves nothing",
    "time": "### One global time split",
    "head_only": "### No backbone: the head's inputs alone",
    "head_only_blind": "### No backbone, page-blind",
}


def _short(value: float) -> float | None:
    return None if isnan(value) else round(value, _DIGITS)


def _gains(ours: Scores, other: Scores) -> dict[str, list[float | None]]:
    pairs = {"auc_relative": (ours.auc, other.auc), "gauc_relative": (ours.gauc, other.gauc)}
    return {name: [_short(value) for value in mine.over(theirs).interval()] for name, (mine, theirs) in pairs.items()}


def _all(variants: Mapping[str, Scores], variant: str) -> dict[str, Any]:
    found = variants[variant]
    names = ("auc", "gauc", "ndcg10", "logloss", "temperature", "epochs", "cpu_s")
    row: dict[str, Any] = {name: _short(found.mean(name)) for name in names}
    row["spread"] = {name: _short(found.spread(name)) for name in ("auc", "gauc", "ndcg10", "logloss")}
    row["auc_interval"] = [_short(value) for value in found.auc.interval()]
    row["gauc_interval"] = [_short(value) for value in found.gauc.interval()]
    row["calibration"] = [[_short(chance), _short(share), count] for chance, share, count in found.calibration]
    if variant != "ours" and "ours" in variants:
        row["ours_minus"] = _gains(variants["ours"], found)
        row["only_user_bias"] = only_user_bias(variants["ours"], found)
    return row


def _table(title: str, table: Table) -> list[str]:
    if not table:
        return []
    lines = ["", title, "", "| backbone | variant | AUC | GAUC | NDCG@10 | LogLoss | ours: AUC | ours: GAUC |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for backbone, variants in table.items():
        for variant, found in variants.items():
            cells = [f"{found.mean(name):.4f}" for name in ("auc", "gauc", "ndcg10", "logloss")]
            gains = ["", ""]
            if variant != "ours" and "ours" in variants:
                ours = variants["ours"]
                gains = [_percent(ours.auc.over(found.auc).interval()), _percent(ours.gauc.over(found.gauc).interval())]
                gains[0] += " (user bias only)" if only_user_bias(ours, found) else ""
            lines.append(f"| {' | '.join([backbone, variant, *cells, *gains])} |")
    return lines


def _targets(made: Sequence[Claim]) -> list[str]:
    if not made:
        return []
    lines = ["", "| target | met on | smallest gain | largest adjusted p | not met on |", "|---|---|---|---|---|"]
    for against, metric, wanted in dict.fromkeys((claim.against, claim.metric, claim.wanted) for claim in made):
        own = [claim for claim in made if (claim.against, claim.metric) == (against, metric)]
        least = min(own, key=lambda claim: claim.gain)
        failed = [claim.backbone for claim in own if not claim.met]
        cells = [
            f"{metric.upper()} over `{against}` at least {wanted:+.1%}",
            f"{len(own) - len(failed)} of {len(own)}",
            f"{_percent((least.low, least.gain, least.high))} ({least.backbone})",
            f"{max(claim.adjusted for claim in own):.3f}",
            ", ".join(failed),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _losses(table: Table) -> list[str]:
    """Where LogLoss is not lower than that of another variant of the headline."""
    worse = [
        f"{backbone} ({name})"
        for backbone, variants in table.items()
        for name, found in variants.items()
        if "ours" in variants and name in HEADLINE and name != "ours"
        if found.mean("logloss") <= variants["ours"].mean("logloss")
    ]
    said = f"not lower on {', '.join(worse)}" if worse else "lower than every other variant of the headline, throughout"
    return ["", f"LogLoss of `ours`: {said}."] if table else []


def _percent(interval: tuple[float, float, float] | Floats) -> str:
    low, middle, high = (100 * float(value) for value in interval)
    return f"{middle:+.2f} % [{low:+.2f}, {high:+.2f}]"
