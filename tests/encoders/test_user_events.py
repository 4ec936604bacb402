"""The pure functions of a user's events: history, statistics, experienced and expected vectors."""

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest

from encoders.expected import expected
from encoders.experienced import experienced, experienced_many
from encoders.history import effective
from encoders.statistics import STATISTICS, user_statistics
from knowledge.base import Expectations, Polarity


@dataclass(frozen=True)
class Entry:
    item_id: str
    value: float
    polarity: str
    occurred_at: int
    offset: int
    rev: int


def entry(item_id, value=5.0, at=0, offset=-1, rev=1):
    return Entry(item_id, value, Polarity.LIKED if value > 3 else Polarity.DISLIKED, at, offset, rev)


VECTORS = {
    str(i): np.random.default_rng(i).standard_normal((9, 16)).astype(np.float32)  # a different one per item
    for i in range(30)
}


def test_a_late_event_does_not_displace_a_newer_opinion_on_the_same_item():
    newer, late = entry("a", 5.0, at=20, offset=7, rev=1), entry("a", 1.0, at=10, offset=8, rev=2)
    assert effective([newer, late]) == [newer]
    assert effective([late, newer]) == [newer]


def test_events_of_one_second_are_ordered_by_offset_and_then_by_rev():
    loaded = [entry("a", at=5, rev=1), entry("b", at=5, rev=2)]
    live = entry("a", at=5, offset=0, rev=3)
    assert [(e.item_id, e.rev) for e in effective([*loaded, live])] == [("a", 3), ("b", 2)]


def test_history_does_not_depend_on_the_order_of_arrival():
    draw = random.Random(3)
    entries = [entry(str(draw.randrange(8)), draw.randint(1, 5), draw.randrange(6), n, n) for n in range(40)]
    wanted = effective(entries)
    for _ in range(20):
        draw.shuffle(entries)
        assert effective(entries) == wanted
    assert len({e.item_id for e in wanted}) == len(wanted)
    assert [(e.occurred_at, e.offset) for e in wanted] == sorted((e.occurred_at, e.offset) for e in wanted)[::-1]


def test_statistics_are_those_of_the_entries_and_zeros_without_any():
    found = dict(zip(STATISTICS, user_statistics([5, 1, 3], ["liked", "disliked", "disliked"]), strict=True))
    assert found == pytest.approx(
        {"mean_value": 3.0, "share_liked": 1 / 3, "std_value": np.sqrt(8 / 3), "log1p_count": np.log(4)}
    )
    assert user_statistics([], []).tolist() == [0.0, 0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="2 values but 1 polarities"):
        user_statistics([1, 2], ["liked"])


def test_experienced_sums_liked_and_disliked_apart_and_skips_neutral_and_unknown_items():
    entries = [
        entry("1"),
        entry("2"),
        entry("3", 1.0),
        replace(entry("4"), polarity=Polarity.NEUTRAL),
        entry("not in the release"),
    ]
    sums = experienced(entries, VECTORS)
    np.testing.assert_allclose(sums[0], VECTORS["1"] + VECTORS["2"], rtol=1e-6)
    np.testing.assert_array_equal(sums[1], VECTORS["3"])


def test_a_rebuilt_sum_equals_the_streamed_one_to_the_last_bit_in_any_order_and_batch():
    draw = random.Random(1)
    users = [
        [
            entry(str(i), draw.randint(1, 5), rev=rev)
            for rev, i in enumerate(draw.sample(range(30), draw.randint(0, 30)))
        ]
        for _ in range(12)
    ]
    together = experienced_many(users, VECTORS)
    for sums, entries in zip(together, users, strict=True):
        draw.shuffle(entries)
        np.testing.assert_array_equal(experienced(entries, VECTORS), sums)


def test_no_users_and_users_without_entries_give_zeros_of_the_right_shape():
    assert experienced_many([], VECTORS).shape == (0, 2, 9, 16)
    assert not experienced([], {}, (2, 3)).any()
    assert experienced([], {}, (2, 3)).shape == (2, 2, 3)


def test_expected_averages_untouched_items_and_prefers_own_anchor_values():
    wishes = Expectations(likes=("1", "2", "5"), dislikes=("unknown",), anchors={"7": 4.0, "8": 2.0})
    means, anchors = expected(wishes, {"5": 1.0, "8": 5.0, "9": 3.0}, VECTORS, ["7", "8", "9", "10"])
    np.testing.assert_allclose(means[0], (VECTORS["1"] + VECTORS["2"]) / 2, rtol=1e-6)
    assert not means[1].any()
    assert anchors.tolist() == [4.0, 5.0, 3.0, 0.0]


def test_a_user_without_expectations_still_has_own_anchor_values():
    means, anchors = expected(None, {"7": 2.0}, VECTORS, ["7", "8"])
    assert not means.any()
    assert anchors.tolist() == [2.0, 0.0]
