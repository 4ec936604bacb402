"""From predictions to numbers: each run on its own, and the mean of the seeds for paired comparisons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import nan

import numpy as np

from ranking.evaluate import metrics
from ranking.evaluate.bootstrap import Drawn, UserPairs, drawn
from ranking.evaluate.metrics import Floats
from ranking.evaluate.plan import Job
from ranking.evaluate.store import Result, SampleTable


@dataclass(frozen=True)
class Run:
    """Test metrics of one model. `logloss` after temperature scaling on its validation users."""

    auc: float
    gauc: float
    ndcg10: float
    logloss: float
    temperature: float
    epochs: int
    cpu_s: float
    valid_auc: float = nan  # of its validation samples: what choices are made by


@dataclass(frozen=True)
class Scores:
    """All runs of one backbone and variant (fold by fold, seeds within), and its seeds' mean on the same users."""

    jobs: tuple[Job, ...]
    runs: tuple[Run, ...]
    auc: Drawn
    gauc: Drawn
    calibration: tuple[tuple[float, float, int], ...]

    def mean(self, name: str) -> float:
        """Mean of a field of `Run` over all runs."""
        return float(np.mean([getattr(run, name) for run in self.runs]))

    def spread(self, name: str) -> float:
        """Standard deviation over the runs."""
        return float(np.std([getattr(run, name) for run in self.runs]))


def measure(table: SampleTable, result: Result) -> tuple[Run, Floats]:
    """Metrics of one run, and its test logits divided by the temperature."""
    scale = metrics.temperature(table.label[result.valid_numbers], result.valid)
    label, user = table.label[result.test_numbers], table.user[result.test_numbers]
    logit = result.test.astype(np.float64) / scale
    run = Run(
        metrics.auc(label, logit),
        metrics.gauc(user, label, logit),
        metrics.user_ndcg(user, label, logit, 10),
        metrics.log_loss(label, logit),
        scale,
        int(result.about["epochs"]),
        float(result.about["cpu_s"]),
        metrics.auc(table.label[result.valid_numbers], result.valid),
    )
    return run, logit


def scores(table: SampleTable, jobs: Sequence[Job], read: Callable[[Job], Result]) -> Scores:
    """Of the jobs of one backbone and variant: every seed of every fold must be there."""
    runs: list[Run] = []
    folds: list[UserPairs] = []
    pooled: list[tuple[Floats, Floats]] = []
    ordered = tuple(sorted(jobs))
    for _, of_fold in groupby(ordered, key=lambda job: job.group):
        logits = []
        for job in of_fold:
            result = read(job)
            run, logit = measure(table, result)
            runs.append(run)
            logits.append(logit)
        label, user = table.label[result.test_numbers], table.user[result.test_numbers]
        mean = np.mean(logits, axis=0)
        folds.append(UserPairs.of(user, label, mean))
        pooled.append((label, mean))
    labels, means = (np.concatenate(part) for part in zip(*pooled, strict=True))
    shape = tuple(metrics.calibration(labels, means))
    return Scores(ordered, tuple(runs), drawn(folds, "auc"), drawn(folds, "gauc"), shape)
