"""From the folds' predictions to what a release is trained with: epochs, temperature, and metrics to expect."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

import numpy as np

from knowledge.base import TerminalError
from ranking.evaluate import metrics
from ranking.evaluate.metrics import Floats, Numbers
from ranking.evaluate.plan import Job, Wanted
from ranking.evaluate.runs import Runs
from ranking.evaluate.store import SampleTable
from ranking.settled import BACKBONE, BASELINE, VARIANT, Measured, Settled, SettledVariant

_DIGITS = 5


@dataclass(frozen=True)
class _Fold:
    """The test users of one fold; `logits` f64[n] of each seed."""

    user: Numbers
    label: Floats
    logits: Sequence[Floats]

    @property
    def pooled(self) -> tuple[Floats, Floats]:
        """Labels and logits of all seeds, one after the other: a release is one model, not the mean of several."""
        return np.tile(self.label, len(self.logits)), np.concatenate(self.logits)


def wanted(folds: int, seeds: int) -> Wanted:
    """The runs that are read: the release's variant and the one without knowledge."""
    return Wanted((BACKBONE,), (VARIANT, BASELINE), folds, seeds, deeper=(BACKBONE,), page_blind=False)


def settle(runs: Runs, folds: int, seeds: int, commit: str) -> Settled:
    """Read the runs of `wanted`.

    Raises `TerminalError`: `few_folds` for less than two (the log loss of one is measured with the temperature of the
    others), `unfinished` if a run is missing.
    """
    if folds < 2:
        raise TerminalError("few_folds", f"{folds} fold cannot settle anything: at least 2")
    _all_there(runs)
    table = runs.store.samples()
    variants, scored = {}, 0
    users: set[int] = set()
    for variant in (VARIANT, BASELINE):
        own = sorted(job for job in runs.jobs if job.variant == variant)
        parts = [_fold(table, runs, list(jobs)) for _, jobs in groupby(own, key=lambda job: job.group)]
        epochs = tuple(int(runs.read(job).about["epochs"]) for job in own)
        codes = tuple(sorted({str(runs.found(job)) for job in own}))
        variants[variant] = _settled(parts, epochs, codes)
        users = {int(user) for part in parts for user in part.user}
        scored = sum(len(part.label) for part in parts)
    return Settled(runs.dataset, runs.store.data_version, commit, BACKBONE, folds, seeds, len(users), scored, variants)


def _all_there(runs: Runs) -> None:
    missing = [job.name for job in runs.jobs if runs.found(job) is None]
    if not missing:
        return
    folder = runs.store.folder
    codes = sorted(path.name for path in folder.glob("*/")) if folder.is_dir() else []
    there = f"{folder} has results of code {', '.join(codes)}" if codes else f"{folder} has no results"
    raise TerminalError(
        "unfinished",
        f"{len(missing)} of {len(runs.jobs)} runs are missing, {missing[0]} first; `reki evaluate ctr --variants "
        f"headline,{VARIANT}` trains them. This code is {runs.versions[BACKBONE]}; {there}: --reuse names others",
    )


def _fold(table: SampleTable, runs: Runs, jobs: Sequence[Job]) -> _Fold:
    results = [runs.read(job) for job in jobs]
    numbers = results[0].test_numbers
    if any(not np.array_equal(result.test_numbers, numbers) for result in results):
        raise TerminalError("bad_result", f"the seeds of fold {jobs[0].group.split} were tested on different samples")
    return _Fold(table.user[numbers], table.label[numbers], [result.test.astype(np.float64) for result in results])


def _settled(folds: Sequence[_Fold], epochs: tuple[int, ...], codes: tuple[str, ...]) -> SettledVariant:
    label, logit = _together(folds)
    temperature = metrics.temperature(label, logit)
    auc, gauc, loss = [], [], []
    for place, fold in enumerate(folds):
        others = metrics.temperature(*_together([*folds[:place], *folds[place + 1 :]]))
        for own in fold.logits:
            auc.append(metrics.auc(fold.label, own))
            gauc.append(metrics.gauc(fold.user, fold.label, own))
            loss.append(metrics.log_loss(fold.label, own / others))
    bins = metrics.calibration(label, logit / temperature)
    return SettledVariant(
        int(median(epochs) + 0.5),
        epochs,
        round(temperature, _DIGITS),
        _measured(auc),
        _measured(gauc),
        _measured(loss),
        tuple((round(chance, _DIGITS), round(share, _DIGITS), count) for chance, share, count in bins),
        codes,
    )


def _together(folds: Sequence[_Fold]) -> tuple[Floats, Floats]:
    label, logit = zip(*(fold.pooled for fold in folds), strict=True)
    return np.concatenate(label), np.concatenate(logit)


def _measured(values: Sequence[float]) -> Measured:
    return Measured(round(float(np.mean(values)), _DIGITS), round(float(np.std(values)), _DIGITS))
