"""Lists to rerank, and their metrics against numbers worked out by hand."""

import math

import numpy as np
import pytest

from ranking.evaluate.lists import LENGTH, build_lists, list_metrics
from ranking.evaluate.metrics import average_precision, ndcg

USER = np.array([0] * 9 + [1] * 3)
ITEM = np.array([11, 12, 13, 14, 15, 16, 17, 18, 19, 11, 12, 13])
LABEL = np.array([1, 0, 1, 0, 1, 1, 1, 1, 0, 1, 0, 0], dtype=np.float32)
RATED = {0: list(range(5, 20)), 1: list(range(8, 14))}
COUNTS = np.arange(60)


def _lists(kind="uniform"):
    return build_lists(USER, ITEM, LABEL, RATED, COUNTS, kind)


@pytest.mark.parametrize("kind", ["uniform", "popularity"])
def test_a_list_holds_the_next_four_and_nothing_else_that_the_user_rates(kind):
    lists = _lists(kind)
    assert lists.user.tolist() == [0, 0, 0, 1]
    assert lists.sample.tolist() == [0, 4, 8, 9]
    for number, real in enumerate(([11, 12, 13, 14], [15, 16, 17, 18], [19], [11, 12, 13])):
        items = lists.item[number].tolist()
        assert len(set(items)) == LENGTH
        assert set(items) & set(RATED[lists.user[number]]) == set(real)
        assert 0 not in items
        liked = {item for item, label in zip(items, lists.label[number], strict=True) if label}
        first = lists.sample[number]
        assert liked == {item for item, label in zip(real, LABEL[first : first + len(real)], strict=True) if label}


def test_lists_are_the_same_whenever_and_for_whomever_they_are_made():
    both = _lists()
    alone = build_lists(USER[9:], ITEM[9:], LABEL[9:], RATED, COUNTS, "uniform")
    assert (both.item[3] == alone.item[0]).all()
    assert (_lists("popularity").item != both.item).any()


def test_the_place_in_the_list_says_nothing():
    lists = build_lists(np.zeros(4000, int), np.full(4000, 3), np.ones(4000, np.float32), {0: [3]}, COUNTS, "uniform")
    share = lists.label.mean(0)
    assert share.min() > 0.33
    assert share.max() < 0.47


def test_popular_items_are_drawn_more_often():
    lists = build_lists(np.zeros(400, int), np.full(400, 3), np.ones(400, np.float32), {0: [3]}, COUNTS, "popularity")
    drawn = np.bincount(lists.item.ravel(), minlength=60)
    drawn[3] = 0
    assert drawn[40:].mean() > 2 * drawn[1:20].mean()


def test_a_user_who_rates_nearly_everything_is_named():
    with pytest.raises(ValueError, match="user row 1 leaves fewer"):
        build_lists(USER, ITEM, LABEL, {**RATED, 1: list(range(51))}, COUNTS, "uniform")


def test_list_metrics_by_hand():
    label = np.array([[0, 1, 0, 1, 0, 0, 0, 0, 0, 1], [0] * 10], dtype=np.float32)
    score = -np.arange(10.0)[None].repeat(2, 0)
    precision, gain = list_metrics(label, score)
    assert precision[0] == pytest.approx((1 / 2 + 2 / 4) / 3)  # the third liked one is beyond place 7
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert gain[0] == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)
    assert np.isnan(precision[1])
    assert np.isnan(gain[1])


def test_list_metrics_are_those_of_single_lists():
    draw = np.random.default_rng(0)
    label, score = (draw.random((50, 10)) < 0.3).astype(np.float32), draw.normal(size=(50, 10))
    precision, gain = list_metrics(label, score)
    for row in range(50):
        order = np.argsort(-score[row])
        assert precision[row] == pytest.approx(average_precision(label[row], order, 7), nan_ok=True)
        assert gain[row] == pytest.approx(ndcg(label[row], score[row], 7), nan_ok=True)
