"""`reki evaluate ablations`: its runs, and what is compared once they are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ranking.evaluate.ablation_rows import OURS, module_of
from ranking.evaluate.ablation_users import left_out
from ranking.evaluate.bootstrap import Drawn, UserPairs, drawn
from ranking.evaluate.plan import Group, Job
from ranking.evaluate.runs import Places, Runs
from ranking.evaluate.summary import Scores, measure, scores

# Core-seconds of a training, and of making the columns that a row needs (shared by its backbones and seeds); means of
# a fold on one core beside other work. For a plan before anything was seen.
TRAINING_S = {"din": 9.0, "dcnv2": 6.0}
_OTHER_S = 25.0
_COLUMNS_S = {"no": 17.0, "dim": 17.0, "tfidf": 20.0, "clusters": 14.0, "likes": 12.0, "anchors": 12.0, "ring": 3.0}


class AblationRuns(Runs):
    """Runs that say how long they will take before any of them was seen."""

    def expected(self) -> dict[tuple[str, str], list[float]]:
        """Seconds of the finished runs, by (backbone, variant); a guess for those of which there is none."""
        seen = self.seen()
        shares = len({(job.backbone, job.seed) for job in self.jobs})
        for job in self.jobs:
            if (job.backbone, job.variant) not in seen:
                columns = 0.0
                if module_of(job.variant).endswith("changed"):
                    columns = _COLUMNS_S[job.variant.split("_")[0]]
                training = TRAINING_S.get(job.backbone, _OTHER_S)
                seen[job.backbone, job.variant] = [training + columns / max(shares, 1)]
        return seen


@dataclass(frozen=True)
class Compared:
    """A row on one backbone, and its differences (row minus other) to `ours` and to other rows, by name and metric."""

    scores: Scores
    minus: Mapping[str, Mapping[str, Drawn]]


@dataclass(frozen=True)
class Ablations:
    """Rows on backbones, over the first `folds` folds. `reuse` as in `Runs`."""

    dataset: str
    places: Places
    rows: Sequence[str]
    backbones: Sequence[str]
    folds: int = 5
    seeds: int = 1
    reuse: Sequence[str] = ()

    @cached_property
    def runs(self) -> list[Runs]:
        """All rows, by the module that trains them."""
        parts: list[Runs] = []
        for module in dict.fromkeys(map(module_of, self.rows)):
            jobs = [
                Job(Group(str(fold)), seed, backbone, row)
                for fold in range(self.folds)
                for row in self.rows  # a row's columns are made once for all its backbones and seeds
                if module_of(row) == module
                for backbone in self.backbones
                for seed in range(self.seeds)
            ]
            parts.append(AblationRuns(self.dataset, self.places, jobs, module, "ranking.backbones", self.reuse))
        return parts

    def scores(self) -> tuple[dict[str, dict[str, Scores]], tuple[str, ...]]:
        """Backbone -> row -> scores of what is complete, and the names of the runs that are missing."""
        table: dict[str, dict[str, Scores]] = {backbone: {} for backbone in self.backbones}
        missing: list[str] = []
        for runs in self.runs:
            for backbone in self.backbones:
                for row in dict.fromkeys(job.variant for job in runs.jobs):
                    own = [job for job in runs.jobs if (job.backbone, job.variant) == (backbone, row)]
                    lacking = [job.name for job in own if runs.found(job) is None]
                    missing += lacking
                    if not lacking:
                        table[backbone][row] = scores(runs.store.samples(), own, runs.read)
        return table, tuple(missing)

    def users(self, ids: Sequence[str]) -> dict[str, dict[str, dict[str, Drawn]]]:
        """Backbone -> who is left out of the metric -> what `ours` gains over `no_user_llm`, by metric.

        `ids` are the users' ids by number. Nothing is trained for it; empty where one of the two is missing.
        """
        made: dict[str, dict[str, dict[str, Drawn]]] = {}
        for backbone in self.backbones:
            for name, without in left_out(ids).items():
                pairs = [self._pairs(backbone, row, without) for row in (OURS, "no_user_llm")]
                if all(pairs):
                    gains = {m: drawn(pairs[0], m).minus(drawn(pairs[1], m)) for m in ("auc", "gauc")}
                    made.setdefault(backbone, {})[name] = gains
        return made

    def _pairs(self, backbone: str, row: str, without: frozenset[int]) -> list[UserPairs]:
        """Of each fold, on the mean of its seeds; none if a run is missing."""
        runs = next((runs for runs in self.runs if any(job.variant == row for job in runs.jobs)), None)
        if runs is None:
            return []
        folds = []
        for fold in range(self.folds):
            jobs = [Job(Group(str(fold)), seed, backbone, row) for seed in range(self.seeds)]
            if any(runs.found(job) is None for job in jobs):
                return []
            table, results = runs.store.samples(), [runs.read(job) for job in jobs]
            logit = np.mean([measure(table, result)[1] for result in results], axis=0)
            numbers = results[0].test_numbers
            kept = ~np.isin(table.user[numbers], list(without))
            folds.append(UserPairs.of(table.user[numbers][kept], table.label[numbers][kept], logit[kept]))
        return folds


def compared(table: Mapping[str, Scores], others: Sequence[str]) -> dict[str, Compared]:
    """Each row of one backbone's table against those of `others` that are there."""
    made = {}
    for row, own in table.items():
        minus = {
            name: {"auc": own.auc.minus(table[name].auc), "gauc": own.gauc.minus(table[name].gauc)}
            for name in others
            if name in table and name != row
        }
        made[row] = Compared(own, minus)
    return made
