"""What a release is trained with is what the folds' predictions say, and no fold measures itself with its own help."""

import numpy as np
import pytest

from knowledge.base import TerminalError
from ranking.evaluate import metrics
from ranking.evaluate.settle import settle, wanted
from ranking.evaluate.store import Result, SampleTable
from ranking.settled import BASELINE, FILE, VARIANT, load_settled

USERS, EACH = 40, 50


def _written(evaluation, scale=lambda fold: 3.0):
    """Results whose logits are `scale(fold)` times too large; returns the truth, and the table."""
    draw = np.random.default_rng(0)
    user = np.repeat(np.arange(USERS), EACH)
    true = 1.5 * draw.normal(size=len(user))
    label = (draw.random(len(user)) < metrics.sigmoid(true)).astype(np.float32)
    runs = evaluation.runs
    table = SampleTable(user, label, np.zeros_like(user))
    runs.store.write_samples(table)
    epochs = {variant: iter(values) for variant, values in ((VARIANT, (2, 3, 3, 5)), (BASELINE, (7, 7, 8, 9)))}
    for job in sorted(runs.jobs):
        fold = int(job.group.split)
        test = np.flatnonzero(user % 2 == fold)
        noise = (0.1 if job.variant == VARIANT else 2.0) * draw.normal(size=len(test))
        valid = np.arange(4)
        about = {"epochs": next(epochs[job.variant]), "cpu_s": 1.0}
        result = Result(true[valid], scale(fold) * (true[test] + noise), valid, test, about)
        runs.store.write(runs.versions["din"], job.name, result)
    return table


def test_epochs_are_the_median_and_the_temperature_takes_overconfidence_away(comparison):
    evaluation = comparison(wanted(2, 2))
    _written(evaluation)
    found = settle(evaluation.runs, 2, 2, "abc")
    ours, plain = found.variants[VARIANT], found.variants[BASELINE]
    assert (ours.epochs, ours.epochs_by_run, plain.epochs) == (3, (2, 3, 3, 5), 8)  # 7.5 counts as 8
    assert ours.temperature == pytest.approx(3.0, rel=0.1)
    assert (found.users, found.samples, found.commit) == (USERS, USERS * EACH, "abc")
    assert ours.auc.mean > plain.auc.mean
    assert ours.logloss.mean < plain.logloss.mean
    assert all(abs(chance - share) < 0.1 for chance, share, _ in ours.calibration)
    assert sum(count for *_, count in ours.calibration) == 2 * found.samples  # of both seeds
    assert found.provisional


def test_a_fold_is_measured_with_the_temperature_of_the_others(comparison):
    evaluation = comparison(wanted(2, 1))
    table = _written(evaluation, scale=lambda fold: (1.0, 4.0)[fold])
    found = settle(evaluation.runs, 2, 1, "abc").variants[VARIANT]
    by_hand = []
    logit = {
        int(job.group.split): evaluation.runs.read(job).test for job in evaluation.runs.jobs if VARIANT in job.name
    }
    label = {fold: table.label[table.user % 2 == fold] for fold in logit}
    for fold, other in ((0, 1), (1, 0)):
        by_hand.append(metrics.log_loss(label[fold], logit[fold] / metrics.temperature(label[other], logit[other])))
    assert found.logloss.mean == pytest.approx(np.mean(by_hand), abs=1e-4)


def test_what_is_missing_is_said_and_nothing_is_settled_on_less(comparison):
    evaluation = comparison(wanted(3, 2))
    with pytest.raises(TerminalError, match=r"12 of 12 runs are missing, 0-s0-din-.* has no results") as caught:
        settle(evaluation.runs, 3, 2, "abc")
    assert caught.value.reason == "unfinished"
    with pytest.raises(TerminalError, match="at least 2"):
        settle(evaluation.runs, 1, 2, "abc")


def test_a_written_file_is_read_as_it_was(comparison, tmp_path):
    evaluation = comparison(wanted(2, 1))
    _written(evaluation)
    found = settle(evaluation.runs, 2, 1, "abc")
    (tmp_path / "settled.json").write_text(found.text())
    assert load_settled(tmp_path / "settled.json") == found


@pytest.mark.parametrize("damage", [lambda text: text[:-20], lambda text: text.replace('"epochs": ', '"epochs": -')])
def test_a_damaged_file_says_what_writes_it(tmp_path, damage):
    (tmp_path / "settled.json").write_text(damage(FILE.read_text()))
    with pytest.raises(TerminalError, match="`reki release settle` writes it"):
        load_settled(tmp_path / "settled.json")


def test_the_file_of_the_repository_is_of_the_release_s_variant_and_better_than_none():
    found = load_settled()
    ours, plain = found.variants[VARIANT], found.variants[BASELINE]
    assert ours.auc.mean > plain.auc.mean
    assert ours.logloss.mean < plain.logloss.mean
    assert 0.5 < ours.temperature < 2
