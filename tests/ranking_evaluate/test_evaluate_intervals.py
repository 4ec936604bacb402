"""Bootstrap of whole users on differences that are known, and Holm against an example worked by hand."""

import numpy as np
import pytest

from ranking.evaluate import metrics
from ranking.evaluate.bootstrap import Drawn, UserPairs, drawn, drawn_means, user_draws
from ranking.evaluate.holm import holm


def _fold(seed, users=40, samples=30, strength=1.0, noise=1.0, tied=False):
    draw = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), samples) * 3 + 5
    true = draw.normal(size=len(user)) + draw.normal(size=users).repeat(samples)
    label = (draw.random(len(user)) < metrics.sigmoid(true)).astype(float)
    score = strength * true + noise * draw.normal(size=len(user))
    return user, label, score.round(1) if tied else score


@pytest.mark.parametrize("tied", [False, True])
def test_the_table_of_pairs_gives_the_metrics_themselves(tied):
    user, label, score = _fold(0, tied=tied)
    pairs = UserPairs.of(user, label, score)
    once = np.ones((1, 40))
    assert pairs.auc(once)[0] == pytest.approx(metrics.auc(label, score))
    assert pairs.gauc(once)[0] == pytest.approx(metrics.gauc(user, label, score))


def test_a_draw_equals_copying_the_drawn_users_samples():
    user, label, score = _fold(1, users=6, tied=True)
    times = np.array([2, 0, 1, 3, 0, 0])
    copies = [np.flatnonzero(user == u) for u, n in zip(np.unique(user), times, strict=True) for _ in range(n)]
    rows = np.concatenate(copies)
    pairs = UserPairs.of(user, label, score)
    assert pairs.auc(times[None].astype(float))[0] == pytest.approx(metrics.auc(label[rows], score[rows]))
    assert pairs.gauc(times[None].astype(float))[0] == pytest.approx(metrics.gauc(user[rows], label[rows], score[rows]))


def test_a_better_model_is_found_and_an_equal_one_is_not():
    folds = [_fold(seed) for seed in (2, 3)]
    base = drawn([UserPairs.of(*fold) for fold in folds], "auc")
    draw = np.random.default_rng(9)
    better = [(u, y, s + 0.5 * (y - 0.5)) for u, y, s in folds]
    equal = [(u, y, s + 0.01 * draw.normal(size=len(s))) for u, y, s in folds]
    gain = drawn([UserPairs.of(*fold) for fold in better], "auc").over(base)
    nothing = drawn([UserPairs.of(*fold) for fold in equal], "auc").over(base)
    low, middle, high = gain.interval()
    assert 0 < low < middle < high
    assert gain.chance() == pytest.approx(2 / 2001)
    assert nothing.interval()[0] < 0 < nothing.interval()[2]
    assert nothing.chance() > 0.05


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        own = draw.normal(0.3, 1.0, size=80)
        low, _, high = drawn_means([(np.arange(80), own)], draws=400).interval()
        covered += low < 0.3 < high
    assert 50 <= covered <= 60


def test_pairing_makes_the_interval_of_a_difference_narrow():
    user, label, score = _fold(4)
    one = drawn([UserPairs.of(user, label, score)], "auc")
    other = drawn([UserPairs.of(user, label, score + 0.05 * label)], "auc")
    alone = one.interval()
    together = other.minus(one).interval()
    assert together[2] - together[0] < (alone[2] - alone[0]) / 4


def test_draws_are_the_same_for_every_model_and_others_for_every_fold():
    assert (user_draws(9, 0, 5) == user_draws(9, 0, 5)).all()
    assert (user_draws(9, 0, 5) != user_draws(9, 1, 5)).any()
    assert (user_draws(9, 0, 5).sum(1) == 9).all()


def test_users_without_a_value_of_their_own_are_left_out():
    found = drawn_means([(np.array([5, 6, 7, 7]), np.array([1.0, np.nan, 0.0, 0.0]))], draws=50)
    assert found.observed == pytest.approx(1 / 3)
    assert set(found.draws[~np.isnan(found.draws)]) <= {0.0, 1 / 5, 1 / 3, 1 / 2, 2 / 4, 1.0}


def test_chance_is_two_sided():
    assert Drawn(0.0, np.array([-1.0] * 50 + [1.0] * 50)).chance() == 1.0
    assert Drawn(-1.0, np.full(999, -1.0)).chance() == pytest.approx(2 / 1000)


def test_holm_on_the_worked_example():
    # 0.005 * 4; 0.01 * 3; 0.03 * 2; 0.04 * 1 is below its forerunner and takes its value
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}
    )
    assert holm({"only": 0.6, "other": 0.9}) == pytest.approx({"only": 1.0, "other": 1.0})
