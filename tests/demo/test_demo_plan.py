"""The demo's visitors: the same at every run, chosen by number and not by how well they come out, and untrained."""

from datetime import UTC, datetime, timedelta

import pytest

from ranking.split import split_users
from reki.demo.cast import demo_plan
from reki.demo.plan import (
    CANDIDATES,
    EVENTS_TO_CHANGE,
    LIVE_USERS,
    RECORDED_USERS,
    UNCHANGED_USERS,
    Rated,
    Role,
    live_users,
    make_plan,
)
from reki.loading import Sample
from reki.paths import cache_dir

LOADED = 5
CATALOGUE = [str(number) for number in range(1, 401)]


def _ratings(count, offset=0):
    start = datetime(1998, 1, 1, tzinfo=UTC)
    return tuple(
        Rated(str(1 + (offset + 3 * n) % 400), float(1 + n % 5), start + timedelta(minutes=n)) for n in range(count)
    )


def _world(users=40, later=30):
    """Users "1" ... with `LOADED` loaded ratings and `later` more; every second one has a recorded refresh."""
    names = [str(number) for number in range(1, users + 1)]
    return {
        "ratings": {user: _ratings(LOADED + later, int(user)) for user in names},
        "history_length": dict.fromkeys(names, LOADED),
        "test_users": names[2:],
        "live": names[:2],
        "refreshed_at": {user: frozenset({LOADED + EVENTS_TO_CHANGE}) for user in names if int(user) % 2},
        "catalogue": CATALOGUE,
    }


def test_every_run_has_the_same_plan():
    again = _world()
    again["test_users"] = list(reversed(again["test_users"]))  # the split's order is a draw
    assert make_plan(**_world()) == make_plan(**again)


def test_another_seed_changes_the_candidates_and_nobody_else():
    first, second = make_plan(**_world()), make_plan(**_world(), seed=8)
    assert [v.replay for v in first.visitors] == [v.replay for v in second.visitors]
    assert [v.candidates for v in first.visitors] != [v.candidates for v in second.visitors]


def test_users_are_taken_by_number_and_not_by_how_they_come_out():
    plan = make_plan(**_world())
    for role in (Role.RECORDED, Role.UNCHANGED):
        numbers = [int(visitor.user_id) for visitor in plan.of(role)]
        assert numbers == sorted(numbers)
    assert [v.user_id for v in plan.of(Role.RECORDED)][:3] == ["3", "7", "9"], "5 had been glimpsed: not blind"
    assert not {"5", "11", "15"} & {v.user_id for v in plan.visitors}


def test_unchanged_users_stay_below_the_threshold_and_the_others_reach_it_exactly():
    plan = make_plan(**_world())
    assert len(plan.of(Role.UNCHANGED)) == UNCHANGED_USERS
    assert all(0 < len(v.replay) < EVENTS_TO_CHANGE for v in plan.of(Role.UNCHANGED))
    for role in (Role.RECORDED, Role.LIVE):
        assert {len(v.replay) for v in plan.of(role)} == {EVENTS_TO_CHANGE}
    assert plan.events == sum(len(v.replay) for v in plan.visitors)


def test_nobody_has_two_roles():
    users = [visitor.user_id for visitor in make_plan(**_world()).visitors]
    assert len(users) == len(set(users))


def test_a_user_whose_refresh_stands_elsewhere_is_not_expected_to_change():
    world = _world()
    world["refreshed_at"] = {user: frozenset({LOADED, LOADED + EVENTS_TO_CHANGE + 1}) for user in world["ratings"]}
    assert make_plan(**world).of(Role.RECORDED) == ()


def test_nothing_of_the_future_is_loaded_or_published():
    for visitor in make_plan(**_world()).visitors:
        times = [rated.at for part in (visitor.history, visitor.replay, visitor.later) for rated in part]
        assert times == sorted(times)
        assert len(times) == LOADED + 30, "every rating is in exactly one part"


def test_candidates_are_a_hundred_films_that_the_user_has_not_touched_by_then():
    for visitor in make_plan(**_world()).visitors:
        assert len(visitor.candidates) == len(set(visitor.candidates)) == CANDIDATES
        assert not {rated.item_id for rated in (*visitor.history, *visitor.replay)} & set(visitor.candidates)
        later = {rated.item_id for rated in visitor.later[:10]}
        assert later <= set(visitor.candidates)
        assert list(visitor.candidates[: len(later)]) != [rated.item_id for rated in visitor.later[: len(later)]]


def test_hits_are_candidates_that_the_person_really_rated_above_three():
    visitor = make_plan(**_world()).of(Role.RECORDED)[0]
    values = {rated.item_id: rated.value for rated in visitor.later}
    assert visitor.liked_later
    assert all(values[item] > 3 for item in visitor.liked_later)
    assert visitor.liked_later <= set(visitor.candidates)
    assert all(item in visitor.liked_later for item in visitor.candidates if values.get(item, 0) > 3)


def test_live_users_are_the_last_training_users_without_recorded_refreshes():
    later = {"1": 100, "2": 100, "9": 100, "10": 100, "11": 100, "12": 3 * EVENTS_TO_CHANGE - 1}
    chosen = live_users(["11", "9", "10", "2", "12", "1"], later, frozenset({"11"}))
    assert chosen == ["9", "10"], "by number: as text, 9 would come after 10"
    assert len(chosen) == LIVE_USERS


@pytest.fixture(scope="module")
def sample():
    folder = cache_dir() / "recbole/recbole/dataset_example/ml-100k"
    if not folder.exists():
        pytest.skip("MovieLens-100K was not fetched: `sh scripts/setup` does it")
    return Sample.load(folder)


def test_the_real_plan_is_complete_and_its_users_are_kept_out_of_training(sample):
    plan = demo_plan(sample)
    assert plan == demo_plan(sample)
    counts = {role: len(plan.of(role)) for role in Role}
    assert counts == {Role.RECORDED: RECORDED_USERS, Role.UNCHANGED: UNCHANGED_USERS, Role.LIVE: LIVE_USERS}
    split = split_users(list(sample.ratings))
    trained = {*split.train, *split.valid} - {visitor.user_id for visitor in plan.of(Role.LIVE)}
    assert not trained & {visitor.user_id for visitor in plan.visitors}
    assert {visitor.user_id for visitor in plan.of(Role.LIVE)} <= set(split.train)


def test_the_real_visitors_get_what_their_role_promises(sample):
    plan = demo_plan(sample)
    for visitor in plan.visitors:
        seen = len(visitor.history) + len(visitor.replay)
        record = sample.recorded.newest(visitor.user_id, len(visitor.history), seen)
        assert (record is not None and record.source_rev == seen) == (visitor.role is Role.RECORDED)
        if visitor.role is Role.LIVE:
            assert not sample.recorded.is_refreshed(visitor.user_id), "the LLM would never be asked about them"
