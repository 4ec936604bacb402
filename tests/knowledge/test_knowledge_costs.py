"""The counting behind `benchmarks/knowledge.py`: the policy's replay, and what counts as cached."""

from datetime import timedelta

import pytest
from knowledge_parts import START

from benchmarks.knowledge_replay import replay_user
from benchmarks.knowledge_tokens import Prices, Tally
from streams.settings import StreamSettings

KNOWN = 10


@pytest.fixture
def replay(previous):
    def run(*seconds, days=100, settings=None, drift=lambda before, now: None):
        times = [START - timedelta(hours=1)] * KNOWN + [START + timedelta(seconds=s) for s in seconds]
        until = START + timedelta(days=days)
        return replay_user(times, KNOWN, until, settings or StreamSettings(), previous, drift)

    return run


def after(refreshed):
    return (refreshed.at - START).total_seconds()


def test_a_burst_ends_in_one_refresh_two_seconds_after_its_last_event(replay):
    [one] = replay(*range(12)).refreshes
    assert (one.rev, one.seen_before, after(one), one.plan.new_events) == (22, 10, 13, 12)


def test_a_burst_that_does_not_end_is_waited_out_for_half_a_minute_at_most(replay):
    first, second = replay(*range(0, 100, 5), days=1).refreshes[:2]
    # The tenth event comes after 45 s and is followed by another each 5 s: 2 s of quiet are enough.
    assert (first.rev, after(first)) == (20, 47)
    assert (second.rev, after(second)) == (30, 97)
    steady = replay(*(n * 1.5 for n in range(60)), days=1).refreshes
    # The event that falls on the very moment is seen, too.
    assert (after(steady[0]), steady[0].rev) == (13.5 + 30, KNOWN + 30)


def test_too_few_events_are_seen_when_the_knowledge_is_a_month_old_if_the_data_last_so_long(replay):
    assert replay(0, 1, 2, days=20).refreshes == []
    assert replay(0, 1, 2, days=20).unseen == 3
    [one] = replay(0, 1, 2, days=100).refreshes
    assert (one.rev, " old " in one.reason) == (13, True)
    assert one.at == START - timedelta(hours=1) + timedelta(days=30)


def test_a_taste_that_turned_starts_from_the_events_alone(replay):
    [one] = replay(*range(12), drift=lambda before, now: 0.6).refreshes
    assert one.plan.full


def test_nights_count_the_events_that_were_known_by_then(replay):
    # START is noon: three events on the first day, one on the second, nothing on the third.
    assert replay(0, 1, 2, 86_400, days=3).nights == [13, 14, 14]


def test_the_first_message_is_cached_from_its_second_call_on():
    tally = Tally()
    tally.add("a", 100, 10, 5)
    tally.add("b", 50, 10, 5)
    tally.add("a", 100, 20, 5, calls=2)
    told = tally.told(Prices(1.0, 0.1, 2.0))
    assert (tally.calls, tally.tokens_in, tally.tokens_cached, tally.tokens_out) == (4, 410, 200, 20)
    assert (told["tokens"], told["tokens_computed"]) == (430, 230)
    assert told["money"] == pytest.approx((210 + 20 + 40) / 1e6, abs=1e-4)
