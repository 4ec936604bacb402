"""The report of `reki evaluate ctr`: what the JSON files hold and the Markdown tables say."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any

from ranking.evaluate.plan import HEADLINE
from ranking.evaluate.summary import Scores
from ranking.evaluate.tables import NOTES, SPLITS, added_lines, strong_lines, table_lines, target_lines
from ranking.evaluate.targets import Table, claims, losses, only_user_bias, provisional

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
    notes: Mapping[str, str] = field(default_factory=dict)  # what was counted, by split

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
            "backbone_adds": _added(self.splits.get("head_only", {}), self.headline),
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
            *(provisional(self.folds, self.seeds) if self.folds else []),
            f"{self.dataset}, {seen}, commit {self.commit}. Means over folds and seeds; AUC pools all samples of a "
            "fold, GAUC compares within a user. Gains of `ours` are relative, on the seeds' mean, with 95 % intervals "
            "over 2,000 draws of whole users (the same draws for both sides).",
        ]
        if self.missing:
            lines += ["", missing_line(self.missing)]
        lines += table_lines("### Strict order", self.headline)
        lines += strong_lines(self.headline) + target_lines(claims(self.headline), losses(self.headline))
        lines += table_lines("### Page-blind: inputs see earlier seconds only", self.blind)
        lines += strong_lines(self.blind) + target_lines(claims(self.blind), losses(self.blind))
        for name, table in self.splits.items():
            note = " ".join(text for text in (NOTES.get(name), self.notes.get(name)) if text)
            lines += table_lines(SPLITS.get(name, f"### Split {name}"), table, note)
            if name == "head_only":
                lines += added_lines(table, self.headline)
        return "\n".join(lines) + "\n"


def missing_line(names: Sequence[str]) -> str:
    """Which runs were not trained, by variant; `names` are those of `Job.name`."""
    lacking: dict[str, set[str]] = {}
    for name in names:
        split, _, _, variant = name.split("-", 3)
        blind = variant.endswith("-blind")
        where = "page-blind" if blind else "folds" if split.isdigit() else split
        lacking.setdefault(variant.removesuffix("-blind"), set()).add(where)
    headline = "" if any(name in HEADLINE for name in lacking) else ", none of the headline's"
    said = "; ".join(f"`{variant}` ({', '.join(sorted(where))})" for variant, where in lacking.items())
    return f"**Not trained: {len(names)} runs{headline}; what lacks one is left out.** {said}."


def _short(value: float) -> float | None:
    return None if isnan(value) else round(value, _DIGITS)


def _gains(ours: Scores, other: Scores) -> dict[str, list[float | None]]:
    pairs = {"auc_relative": (ours.auc, other.auc), "gauc_relative": (ours.gauc, other.gauc)}
    return {name: [_short(value) for value in mine.over(theirs).interval()] for name, (mine, theirs) in pairs.items()}


def _all(variants: Mapping[str, Scores], variant: str) -> dict[str, Any]:
    found = variants[variant]
    names = ("auc", "gauc", "ndcg10", "logloss", "temperature", "epochs", "cpu_s", "valid_auc")
    row: dict[str, Any] = {name: _short(found.mean(name)) for name in names}
    row["spread"] = {name: _short(found.spread(name)) for name in ("auc", "gauc", "ndcg10", "logloss")}
    row["auc_interval"] = [_short(value) for value in found.auc.interval()]
    row["gauc_interval"] = [_short(value) for value in found.gauc.interval()]
    row["calibration"] = [[_short(chance), _short(share), count] for chance, share, count in found.calibration]
    if variant != "ours" and "ours" in variants:
        row["ours_minus"] = _gains(variants["ours"], found)
        row["only_user_bias"] = only_user_bias(variants["ours"], found)
    return row


def _added(head_only: Table, table: Table) -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """What each backbone's `ours` adds to a model of the head's inputs alone: backbone -> model -> gains."""
    return {
        backbone: {model: _gains(variants["ours"], found["head_only"]) for model, found in head_only.items()}
        for backbone, variants in table.items()
        if "ours" in variants
    }
