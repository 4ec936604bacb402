"""The due set on a real server: no mark is lost, whatever dies between decision and answer (window R5)."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.due import DueSet, Mark

pytestmark = pytest.mark.services
START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def names(due: DueSet, seconds: float, budget: int = 10, lease_s: float = 10.0) -> list[str]:
    return [one.user_id for one in due.pop_due(at(seconds), budget, lease_s)]


def test_nobody_is_taken_before_their_time(due: DueSet) -> None:
    due.mark("a", at(5))
    assert names(due, 4.9) == []
    assert names(due, 5) == ["a"]


def test_a_later_mark_does_not_push_an_earlier_one_away(due: DueSet) -> None:
    due.mark("a", at(5))
    due.mark("a", at(50))
    assert names(due, 5) == ["a"]
    due.mark("b", at(50))
    due.mark("b", at(5))
    assert "b" in names(due, 5)


def test_largest_drift_goes_first_within_the_budget(due: DueSet) -> None:
    due.mark_many([Mark("small", at(0), 0.1), Mark("large", at(1), 0.9), Mark("middle", at(1), 0.5)])
    assert names(due, 2, budget=2) == ["large", "middle"]
    assert names(due, 2, budget=2) == ["small"]


def test_small_drift_is_not_starved_by_newcomers(due: DueSet) -> None:
    due.mark_many([Mark("small", at(0), 0.1), Mark("large", at(650), 0.9)])
    assert names(due, 651, budget=1) == ["small"]


def test_a_publisher_that_dies_before_the_acknowledgement_loses_no_mark(due: DueSet) -> None:
    due.mark("a", at(0), 0.4)
    assert names(due, 0, lease_s=10) == ["a"]
    assert names(due, 9) == []
    [again] = due.pop_due(at(10), 5)
    assert (again.user_id, again.drift) == ("a", 0.4)


def test_a_request_that_nobody_answers_is_due_again_at_its_deadline(due: DueSet, client: redis.Redis) -> None:
    due.mark("a", at(0))
    names(due, 0)
    due.requested("a", 12, deadline_s=60)
    seconds, fraction = client.time()
    now = datetime.fromtimestamp(seconds + fraction / 1e6, UTC)
    assert due.pop_due(now + timedelta(seconds=50), 5) == []
    assert [one.user_id for one in due.pop_due(now + timedelta(seconds=61), 5)] == ["a"]


def test_an_answered_request_is_not_due_again(due: DueSet) -> None:
    due.mark("a", at(0), 0.3)
    names(due, 0)
    due.requested("a", 12, 60)
    due.done("a", 12)
    assert names(due, 1e9) == []
    assert due.counts().leased == 0


def test_a_mark_that_arrives_during_the_request_survives_its_answer(due: DueSet) -> None:
    due.mark("a", at(0))
    names(due, 0)
    due.requested("a", 12, 60)
    due.mark("a", at(1), 0.7)
    assert names(due, 2) == []
    assert due.counts().waiting == 1
    due.done("a", 12)
    [again] = due.pop_due(at(2), 5)
    assert (again.user_id, again.drift) == ("a", 0.7)


def test_marks_of_users_in_flight_do_not_hide_other_users(due: DueSet) -> None:
    busy = [f"busy{i}" for i in range(1200)]
    due.mark_many(Mark(user, at(0)) for user in busy)
    while due.pop_due(at(0), 500, lease_s=1e6):
        pass
    due.mark_many(Mark(user, at(1)) for user in busy)
    due.mark("free", at(2))
    taken = names(due, 3) + names(due, 3)
    assert taken == ["free"]


def test_the_answer_to_an_older_request_does_not_close_a_newer_one(due: DueSet) -> None:
    due.mark("a", at(0))
    names(due, 0)
    due.requested("a", 20, 60)
    due.done("a", 12)
    assert due.counts().leased == 1
    due.done("a", 20)
    assert due.counts().leased == 0


def test_a_postponed_user_comes_back_at_the_given_time(due: DueSet) -> None:
    due.mark("a", at(0))
    names(due, 0)
    due.postpone("a", at(30))
    assert names(due, 29) == []
    assert names(due, 30) == ["a"]


def test_a_forgotten_user_leaves_no_trace(due: DueSet, client: redis.Redis) -> None:
    due.mark("a", at(0), 0.5)
    names(due, 0)
    due.requested("a", 3, 60)
    due.mark("a", at(1))
    names(due, 2)
    due.forget("a")
    assert [key for key in due.keys if client.exists(key)] == []


def test_live_marks_run_on_the_server_clock(due: DueSet) -> None:
    due.mark("past", datetime.now(UTC) - timedelta(seconds=60))
    due.mark("future", datetime.now(UTC) + timedelta(seconds=600))
    assert [one.user_id for one in due.pop_due(None, 10)] == ["past"]


steps = st.lists(
    st.tuples(
        st.sampled_from(["mark", "pop", "crash", "done", "postpone", "wait"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 30),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_every_mark_is_followed_by_a_take_at_or_after_it(client: redis.Redis, script: list[Any]) -> None:
    """Whatever happens in between, after the last mark of a user somebody takes that user (the trailing edge)."""
    due = DueSet(client, f"p{uuid.uuid4().hex[:8]}")
    now = 0.0
    owed: set[str] = set()
    held: set[str] = set()
    for action, user, number in script:
        if action == "mark":
            due.mark(user, at(now + number))
            owed.add(user)
        elif action == "pop":
            for one in due.pop_due(at(now), 1 + number % 3, lease_s=10):
                owed.discard(one.user_id)
                held.add(one.user_id)
        elif action == "crash" and user in held:
            held.discard(user)
            owed.add(user)  # nobody answers: the lease must bring the user back
        elif action == "done" and user in held:
            held.discard(user)
            due.done(user)
        elif action == "postpone" and user in held:
            held.discard(user)
            owed.add(user)
            due.postpone(user, at(now + number))
        elif action == "wait":
            now += number
            if number > 10:
                owed |= held  # their leases ran out
                held.clear()
    taken = {one.user_id for one in due.pop_due(at(now + 1000), 100)}
    assert owed <= taken
