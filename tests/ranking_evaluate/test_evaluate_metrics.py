"""Metrics against numbers worked out by hand, and against scikit-learn where it has the same."""

import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score, roc_auc_score

from ranking.evaluate import metrics


def test_auc_counts_pairs_and_ties_half():
    label, score = np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.1])
    # pairs: .9>.5, .9>.1, .5=.5 (half), .5>.1
    assert metrics.auc(label, score) == pytest.approx(3.5 / 4)


def test_auc_is_that_of_sklearn():
    draw = np.random.default_rng(0)
    label, score = draw.integers(0, 2, 500), draw.normal(size=500).round(1)
    assert metrics.auc(label, score) == pytest.approx(roc_auc_score(label, score))


def test_auc_of_one_class_is_not_a_number():
    assert math.isnan(metrics.auc(np.ones(3), np.arange(3.0)))


def test_gauc_weighs_users_by_samples_and_leaves_out_users_with_one_class():
    user = np.array([7, 3, 7, 3, 3, 9, 9])
    label = np.array([1, 1, 0, 0, 1, 1, 1])
    score = np.array([0.1, 0.9, 0.2, 0.5, 0.3, 0.0, 1.0])
    # user 3: pairs .9>.5 right, .3<.5 wrong = 1/2 over 3 samples; user 7: wrong = 0 over 2; user 9 left out
    assert metrics.gauc(user, label, score) == pytest.approx((0.5 * 3 + 0.0 * 2) / 5)


def test_user_bias_moves_auc_and_not_gauc():
    draw = np.random.default_rng(1)
    user = np.repeat(np.arange(20), 50)
    rate = np.linspace(0.1, 0.9, 20)[user]
    label = (draw.random(1000) < rate).astype(float)
    bias = metrics.auc(label, rate), metrics.gauc(user, label, rate)
    assert bias[0] > 0.7
    assert bias[1] == pytest.approx(0.5)


def test_ndcg_by_hand():
    relevance, score = np.array([0.0, 1.0, 1.0]), np.array([3.0, 2.0, 1.0])
    expected = (1 / math.log2(3) + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    assert metrics.ndcg(relevance, score, 10) == pytest.approx(expected)
    assert metrics.ndcg(relevance, score, 1) == 0.0


def test_tied_scores_gain_nothing_from_the_order_of_the_file():
    relevance = np.array([1.0, 0.0])
    assert metrics.ndcg(relevance, np.zeros(2), 1) == pytest.approx(0.5)
    assert metrics.ndcg(relevance[::-1], np.zeros(2), 1) == pytest.approx(0.5)


def test_ndcg_is_that_of_sklearn():
    draw = np.random.default_rng(2)
    relevance, score = draw.integers(0, 2, 30).astype(float), draw.normal(size=30).round(1)
    assert metrics.ndcg(relevance, score, 10) == pytest.approx(ndcg_score([relevance], [score], k=10))


def test_user_ndcg_leaves_out_users_without_a_positive():
    user, label, score = np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 0.0, 0.0]), np.array([1.0, 2.0, 1.0, 2.0])
    assert metrics.user_ndcg(user, label, score) == pytest.approx(1.0)


def test_average_precision_by_hand():
    relevance = np.array([1.0, 0.0, 1.0, 1.0])
    order = np.array([0, 1, 2, 3])
    assert metrics.average_precision(relevance, order, 3) == pytest.approx((1 + 2 / 3) / 3)
    assert metrics.average_precision(relevance, order[::-1], 4) == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert math.isnan(metrics.average_precision(np.zeros(4), order, 3))


def test_log_loss_by_hand():
    label, logit = np.array([1.0, 0.0]), np.array([0.0, math.log(3)])
    assert metrics.log_loss(label, logit) == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_temperature_undoes_an_overconfident_scale():
    draw = np.random.default_rng(3)
    true = draw.normal(size=40_000)
    label = (draw.random(len(true)) < metrics.sigmoid(true)).astype(float)
    found = metrics.temperature(label, 2.5 * true)
    assert found == pytest.approx(2.5, rel=0.04)
    losses = [metrics.log_loss(label, 2.5 * true / t) for t in (found, found * 0.95, found * 1.05)]
    assert losses[0] == min(losses)


def test_calibration_bins_hold_equal_numbers():
    label, logit = np.array([0.0, 0.0, 1.0, 1.0]), np.array([-5.0, -4.0, 4.0, 5.0])
    low, high = metrics.calibration(label, logit, 2)
    assert (low[1], low[2], high[1], high[2]) == (0.0, 2, 1.0, 2)
    assert low[0] < 0.02 < 0.98 < high[0]
