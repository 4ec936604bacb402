"""`reki evaluate ctr`: its runs, and the report over all that are complete."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ranking.evaluate.plan import HEAD_ONLY, Job, Wanted, jobs
from ranking.evaluate.plots import plots
from ranking.evaluate.report import Report
from ranking.evaluate.runs import Places, Runs
from ranking.evaluate.store import Result, SampleTable
from ranking.evaluate.summary import Scores, scores

MODELS = "ranking.evaluate.models"


@dataclass(frozen=True)
class Evaluation:
    """One comparison. `models` and `reuse` as in `Runs`."""

    dataset: str
    places: Places
    wanted: Wanted
    models: str = MODELS
    reuse: Sequence[str] = ()

    @cached_property
    def runs(self) -> Runs:
        """All of the comparison."""
        return Runs(self.dataset, self.places, jobs(self.wanted), self.models, "ranking.backbones", self.reuse)

    def report(self, commit: str) -> Report:
        """Over everything that is complete: all seeds of all folds of a backbone and variant."""
        table = self.runs.store.samples()
        missing: list[str] = []
        used: set[str] = set()
        tables: dict[str, dict[str, dict[str, Scores]]] = {}
        notes: dict[str, str] = {}
        together: dict[tuple[str, str, str], list[Job]] = {}
        for job in self.runs.jobs:
            name = "folds" if job.fold_number else job.group.split
            # In the table of another split they stand beside its backbones: never averaged with the folds.
            name = "head_only" if job.backbone in HEAD_ONLY and job.fold_number else name
            name += "_blind" if job.group.page_blind else ""
            together.setdefault((name, job.backbone, job.variant), []).append(job)
        for (name, backbone, variant), own in together.items():
            codes = {job: self.runs.found(job) for job in own}
            lacking = [job.name for job, code in codes.items() if code is None]
            missing += lacking
            if not lacking:
                used |= {code for code in codes.values() if code is not None}
                rows = tables.setdefault(name, {}).setdefault(backbone, {})
                rows[variant] = scores(table, own, self.runs.read)
                if name == "time":
                    notes[name] = returning(table, self.runs.read(own[0]))
        return Report(
            self.dataset,
            self.wanted.folds,
            self.wanted.seeds,
            commit,
            tables.pop("folds", {}),
            tables.pop("folds_blind", {}),
            tables,
            tuple(missing),
            tuple(sorted(used)),
            notes,
        )

    def write(self, report: Report) -> list[Path]:
        """Put the report's files into the results' folder; returns them."""
        out = self.places.out
        files = {
            "ctr.json": json.dumps(report.ctr_json(), indent=1) + "\n",
            "ctr_details.json": json.dumps(report.details_json(), indent=1) + "\n",
            "ctr.md": report.markdown(),
            **plots(report),
        }
        return write_files(out, files)


def returning(table: SampleTable, result: Result) -> str:
    """How many of the users who are tested are known from training: all other samples but those of validation."""
    training = np.ones(len(table.user), dtype=np.bool_)
    training[result.valid_numbers] = training[result.test_numbers] = False
    tested = np.unique(table.user[result.test_numbers])
    both = np.intersect1d(tested, table.user[training])
    share = np.isin(table.user[result.test_numbers], both).mean()
    return (
        f"{len(tested)} users are tested; {len(both)} of them have samples in training too, and "
        f"{100 * share:.0f} % of the test samples are theirs."
    )


def write_files(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write texts whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        draft = folder / f".{name}.{os.getpid()}"
        draft.write_text(text)
        draft.replace(folder / name)
    return [folder / name for name in files]
