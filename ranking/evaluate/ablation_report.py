"""The report of `reki evaluate ablations`: JSON, small tables with a sentence each, and plots of the differences."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ranking.evaluate.ablation_rows import OURS, SECTIONS, Section
from ranking.evaluate.ablations import Compared, compared
from ranking.evaluate.bootstrap import Drawn
from ranking.evaluate.summary import Scores
from ranking.evaluate.svg import dots

METRICS = ("auc", "gauc")
NOTES = (
    "Differences are the row minus another, of the same folds and seeds; 95 % intervals from 2,000 draws of whole "
    "users on logits averaged over seeds. They are not corrected for the number of rows: of twenty rows that change "
    "nothing one is expected outside its interval.",
    "A row is trained anew with all that is fitted for it; nothing is hidden from a model that was trained with it.",
    "`user_only` reads expected anchor values: their level, at anchors that are alike in collaborative space, and at "
    "the candidate itself. Expected likes and dislikes need the items' texts, so they are in `ours` alone.",
    "A factor that is left out is left out of items' vectors, and with it of everything that is computed from them; "
    "which films the LLM expects a user to like stays as recorded.",
    "d is the width of a factor's vector in all columns, N the ring of events over which experienced vectors and "
    "statistics run; H, what the head reads one by one, stays 50.",
    "A second sentence encoder is not compared: its model would have to come in a package (no model hub), and of three "
    "small ones that were tried two carry no weights and one has them for another Python only. TF-IDF and SVD stand "
    "for texts without an encoder.",
    "Profile fields (age, gender, occupation) left out: not measured. The recorded prompts had them, so every answer "
    "would have to be asked for anew.",
)


@dataclass(frozen=True)
class AblationReport:
    """`table`: backbone -> row -> scores; `users`: see `Ablations.users`; `missing`: names of runs not there yet."""

    dataset: str
    folds: int
    seeds: int
    commit: str
    table: Mapping[str, Mapping[str, Scores]]
    users: Mapping[str, Mapping[str, Mapping[str, Drawn]]]
    missing: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    @cached_property
    def compared(self) -> dict[str, dict[str, Compared]]:
        """Backbone -> row -> differences."""
        others = tuple(dict.fromkeys([OURS, *(section.second for section in SECTIONS if section.second)]))
        return {backbone: compared(rows, others) for backbone, rows in self.table.items()}

    def json(self) -> dict[str, Any]:
        """Numbers of everything, finite or null."""
        about = {row: {"section": s.name, "says": says} for s in SECTIONS for row, says in s.rows.items()}
        return {
            "dataset": self.dataset,
            "folds": self.folds,
            "seeds": self.seeds,
            "commit": self.commit,
            "code_versions": list(self.codes),
            "rows": about,
            "backbones": {
                backbone: {row: _row(found) for row, found in rows.items()} for backbone, rows in self.compared.items()
            },
            "ours_minus_no_user_llm_without_users": {
                backbone: {name: {m: _interval(gain) for m, gain in gains.items()} for name, gains in groups.items()}
                for backbone, groups in self.users.items()
            },
            "missing": list(self.missing),
            "notes": list(NOTES),
        }

    def markdown(self) -> str:
        """All sections that have rows."""
        lines = ["## Ablations", "", f"{self.dataset}, {self.folds} folds, {self.seeds} seed(s), commit {self.commit}."]
        if self.missing:
            lines += ["", f"Not complete: {len(self.missing)} runs are missing, and rows with them."]
        for section in SECTIONS:
            lines += self._section(section)
        lines += self._users()
        lines += ["", "Notes:", "", *(f"* {note}" for note in NOTES), ""]
        seconds = sum(sum(run.cpu_s for run in s.runs) for rows in self.table.values() for s in rows.values())
        return "\n".join([*lines, f"All models of these tables together took {seconds / 60:.0f} core-minutes.", ""])

    def files(self) -> dict[str, str]:
        """Texts by file name."""
        made = {
            "ablations.json": json.dumps(self.json(), indent=1, allow_nan=False) + "\n",
            "ablations.md": self.markdown(),
        }
        for metric in METRICS:
            points = {
                row: [
                    (b, *rows[row].minus[OURS][metric].interval()) for b, rows in self.compared.items() if row in rows
                ]
                for row in dict.fromkeys(row for rows in self.compared.values() for row in rows)
                if row != OURS and all(OURS in rows for rows in self.compared.values())
            }
            if points:
                label = metric.upper()
                title = f"{label} of each row minus ours, with 95 % intervals over users"
                made[f"ablations-{metric}.svg"] = dots(title, f"difference in {label}", points, zero=True)
        return made

    def _section(self, section: Section) -> list[str]:
        there = [(b, row) for row in section.rows for b, rows in self.compared.items() if row in rows]
        if not any(row != OURS for _, row in there):
            return []
        second = section.second
        heads = ["row", "what", "backbone", "AUC", "GAUC", "AUC - ours", "GAUC - ours"]
        heads += [f"AUC - `{second}`", f"GAUC - `{second}`"] if second else []
        lines = ["", f"### {section.title}", "", _line(heads), _line(["---"] * len(heads))]
        for backbone, row in there:
            found = self.compared[backbone][row]
            cells = [f"`{row}`", section.rows[row], backbone]
            cells += [f"{found.scores.mean(metric):.4f}" for metric in METRICS]
            for other in (OURS, second) if second else (OURS,):
                cells += [_shown(found.minus[other][m]) if other in found.minus else "" for m in METRICS]
            lines.append(_line(cells))
        return [*lines, "", self._says(section)]

    def _says(self, section: Section) -> str:
        """One sentence: which rows fall short of `ours`, pass it, or cannot be told from it, on all backbones."""
        sides: dict[str, list[str]] = {"below": [], "above": [], "unclear": []}
        for row in section.rows:
            gaps = [
                rows[row].minus[OURS]["auc"]
                for rows in self.compared.values()
                if OURS in getattr(rows.get(row), "minus", {})
            ]
            if not gaps:
                continue
            ends = [gap.interval() for gap in gaps]
            side = "below" if all(e[2] < 0 for e in ends) else "above" if all(e[0] > 0 for e in ends) else "unclear"
            sides[side].append(f"`{row}` ({np.mean([gap.observed for gap in gaps]):+.4f})")
        parts = [
            ("below", "below `ours` in AUC beyond chance"),
            ("above", "above `ours` in AUC beyond chance"),
            ("unclear", "not to be told from `ours` in AUC"),
        ]
        said = [f"{what}: {', '.join(sides[side])}" for side, what in parts if sides[side]]
        where = "on every backbone alike" if len(self.compared) > 1 else f"on {next(iter(self.compared))}"
        text = "; ".join(said)
        return f"{text[:1].upper()}{text[1:]} ({where}; mean difference in brackets)." if said else ""

    def _users(self) -> list[str]:
        if not self.users:
            return []
        lines = ["", "### Users under suspicion left out of the metric", ""]
        lines += [_line(["left out", "backbone", "AUC: ours - `no_user_llm`", "GAUC: ours - `no_user_llm`"])]
        lines.append(_line(["---"] * 4))
        for backbone, groups in self.users.items():
            for name, gains in groups.items():
                lines.append(_line([name, backbone, *(_shown(gains[metric]) for metric in METRICS)]))
        said = [
            f"{groups['both']['auc'].observed:+.4f} instead of {groups['nobody']['auc'].observed:+.4f} on {backbone}"
            for backbone, groups in self.users.items()
        ]
        lines += ["", f"Without both groups, expectations of users are worth, in AUC, {', '.join(said)}."]
        return [*lines, "(What was glimpsed of the six went into refreshed texts, which no row here reads.)"]


def _row(found: Compared) -> dict[str, Any]:
    own = found.scores
    return {
        "auc": round(own.mean("auc"), 5),
        "gauc": round(own.mean("gauc"), 5),
        "logloss": round(own.mean("logloss"), 5),
        "by_fold_seed": [[round(run.auc, 5), round(run.gauc, 5)] for run in own.runs],
        "cpu_s": round(sum(run.cpu_s for run in own.runs), 1),
        "minus": {other: {m: _interval(gap) for m, gap in gaps.items()} for other, gaps in found.minus.items()},
    }


def _interval(gap: Drawn) -> list[float | None]:
    return [round(value, 6) if np.isfinite(value) else None for value in gap.interval()]


def _shown(gap: Drawn) -> str:
    low, middle, high = gap.interval()
    return f"{middle:+.4f} [{low:+.4f}, {high:+.4f}]"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def code_versions(parts: Sequence[Any]) -> tuple[str, ...]:
    """Of all results that are used."""
    found = {runs.found(job) for runs in parts for job in runs.jobs}
    return tuple(sorted(code for code in found if code))
