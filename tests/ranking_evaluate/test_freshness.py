"""What a sample is shown, way by way: nothing of its own or later, refreshes when readable, history as it was."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.base import Expectations, ItemProfile, Knowledge, KnowledgeMode, UserProfile
from knowledge.catalogue import Catalogue
from knowledge.recorded import RecordedStore
from knowledge.scenario import load_scenario
from ranking.collaborative import RANK
from ranking.columns import fill, set_anchors, set_collaborative
from ranking.datasets.movielens import MovieLens, Rating
from ranking.evaluate.freshness import FOUR, HELD, WAYS, bin_of, freshness_split, freshness_table, readable
from ranking.evaluate.freshness_models import VARIANT, shown_samples
from ranking.evaluate.freshness_report import files, numbers
from ranking.evaluate.metrics import gauc
from ranking.fold import HISTORY, RING, fold_users
from ranking.head import MatchingHead
from ranking.inputs import build_samples, index_of
from ranking.shape import RankerShape
from ranking.sources import Sources
from ranking.variants import VARIANTS

USERS, ITEMS, RATED, FIRST = 20, 70, 44, 22
BEGIN = datetime(1998, 1, 1, tzinfo=UTC)
ANCHORS = tuple(str(item) for item in range(1, 9))
GROUPS = tuple(VARIANTS[VARIANT].groups)


def _record(user, events, draw):
    items = [str(item) for item in draw.permutation(ITEMS)[:12] + 1]
    return Knowledge(
        entity="user",
        entity_id=user,
        factors={},
        expectations=Expectations(
            likes=tuple(items[:6]),
            dislikes=tuple(items[6:]),
            anchors={anchor: float(draw.integers(1, 6)) for anchor in ANCHORS},
        ),
        source_rev=events,
        mode=KnowledgeMode.RECORDED,
        model="m",
        template_version="t",
        catalogue_version="c",
        generated_at=BEGIN,
    )


@pytest.fixture(scope="module")
def sources():
    """Twenty users of 44 ratings, two a second; one of validation and one of test have two refreshes."""
    draw = np.random.default_rng(5)
    ratings = []
    for user in range(1, USERS + 1):
        for place, item in enumerate(draw.permutation(ITEMS)[:RATED] + 1):
            at = BEGIN + timedelta(seconds=200 * (place // 2))
            ratings.append(Rating(str(user), str(item), float(draw.integers(1, 6)), at))
    data = MovieLens(
        tuple(ratings),
        {str(user): UserProfile(user_id=str(user), fields={}) for user in range(1, USERS + 1)},
        {str(item): ItemProfile(item_id=str(item), title=str(item), fields={}) for item in range(1, ITEMS + 1)},
    )
    split = fold_users(data, "design")
    records = {user: [_record(user, FIRST, draw)] for user in data.users}
    for user in (split.valid[0], split.test[0]):
        records[user] += [_record(user, FIRST + more, draw) for more in (10, 15)]
    catalogue = Catalogue("c", ANCHORS, tuple(data.items))
    return Sources(data, RecordedStore(catalogue, {}, records, dict.fromkeys(data.users, FIRST)))


def _columns(sources):
    """Every column that the network reads, by row of the table."""
    table = freshness_table(sources)
    samples = shown_samples(sources, table)
    training = fold_users(sources.data, "design").train
    torch.manual_seed(1)
    space = torch.nn.functional.normalize(torch.randn(ITEMS + 1, 9, 16), dim=-1)
    space[0] = 0
    vocabulary = sources.vocabulary(training)
    index = index_of(samples.items, vocabulary)
    head = MatchingHead(RankerShape(len(vocabulary) + 2, anchors=len(ANCHORS), groups=GROUPS, collaborative=RANK))
    set_anchors(head, sources, training, vocabulary, space)
    set_collaborative(head, sources, training, vocabulary, space)
    columns = {}
    fill(columns, head, samples, space, index, np.arange(len(samples)), HISTORY, GROUPS)
    ids = samples.ids(np.arange(len(samples)), index, HISTORY)
    return table, torch.cat([columns[name].float() for name in GROUPS], dim=1), ids


@pytest.fixture(scope="module")
def shown(sources):
    return _columns(sources)


def _changed(sources, user, place, values):
    """The same data, but for the values of one user's ratings from `place` on."""
    own = sources.data.by_user()[user]
    new = {(user, r.item_id): value for r, value in zip(own[place:], values, strict=False)}
    ratings = tuple(r._replace(value=new.get((r.user_id, r.item_id), r.value)) for r in sources.data.ratings)
    return replace(sources, data=replace(sources.data, ratings=ratings))


@given(place=st.integers(FIRST, RATED - 1), who=st.integers(0, 1), data=st.data())
@settings(max_examples=5, deadline=None)
def test_no_input_of_any_way_depends_on_the_samples_own_or_a_later_rating(sources, shown, place, who, data):
    table, before, ids = shown
    user = table.users[who]
    values = data.draw(st.lists(st.integers(1, 5).map(float), min_size=RATED - place, max_size=RATED - place))
    again, after, new_ids = _columns(_changed(sources, user, place, values))
    assert again.rows == table.rows
    untouched = torch.tensor([table.users[r.user] != user or r.position <= place for r in table.rows])
    assert torch.equal(before[untouched], after[untouched])
    assert all(torch.equal(ids[name][untouched], new_ids[name][untouched]) for name in ids)


def test_a_later_sample_does_see_the_changed_ratings_where_it_follows_events(sources, shown):
    table, before, _ = shown
    place = FIRST + 3
    changed = _changed(
        sources, table.users[0], place, [6 - r.value for r in sources.data.by_user()[table.users[0]][place:]]
    )
    _, after, _ = _columns(changed)
    later = (table.user == 0) & (table.position > place)
    for way in FOUR:
        rows = table.ways[way][later]
        same = torch.equal(before[rows], after[rows])
        assert same == (way == "frozen"), way  # a refresh carries the user's own values at anchors


def test_following_events_with_the_snapshots_knowledge_is_what_training_reads(sources):
    table = freshness_table(sources)
    made = shown_samples(sources, table)
    known = {user: sources.store.users()[user] for user in table.users}
    usual = build_samples(sources.data, known, ANCHORS, load_scenario("films"), RING)
    rows = table.ways["following"]
    own = np.concatenate([usual.of([user]) for user in table.users])
    for name in ("item", "label", "since", "told"):
        np.testing.assert_array_equal(getattr(made, name)[rows], getattr(usual, name)[own])
    for name in ("item", "value", "side"):
        np.testing.assert_array_equal(getattr(made.ring, name)[rows], getattr(usual.ring, name)[own])
    for name in ("likes", "anchors"):
        np.testing.assert_array_equal(getattr(made, name)[made.user[rows]], getattr(usual, name)[usual.user[own]])
    np.testing.assert_array_equal(table.label, usual.label[own])


def test_frozen_inputs_are_those_of_the_users_first_sample(shown):
    table, columns, ids = shown
    assert GROUPS[0] == "statistics"  # the first four columns
    of_user = torch.cat([columns[:, :4], ids["hist_index"].float(), ids["hist_value"]], dim=1)
    for number in range(len(table.users)):
        rows = table.ways["frozen"][table.user == number]
        assert (of_user[rows] == of_user[rows[0]]).all()
        assert {table.rows[row].since for row in rows} == {0}
    following = table.ways["following"][table.user == 0]
    assert [table.rows[row].since for row in following] == list(range(RATED - FIRST))


@pytest.mark.parametrize(
    ("position", "delay", "seen"),
    [
        (31, 0, 22),  # the refresh after 32 events has seen the sample itself
        (32, 0, 32),
        (32, 1, 22),  # the sample shares its second with the trigger
        (33, 60, 32),
        (33, 61, 22),
        (36, 0, 32),  # the newest one that has seen earlier events alone
        (37, 0, 37),
        (43, 86400, 22),
    ],
)
def test_a_refresh_is_shown_once_it_is_readable_and_has_seen_earlier_events_alone(position, delay, seen):
    times = [60.0 * ((place + 1) // 2) for place in range(44)]
    assert readable([22, 32, 37], times, position, delay) == seen


def test_held_inputs_stay_as_they_were_when_the_bin_began(sources):
    table = freshness_table(sources)
    bins = bin_of(table.elapsed)
    for way in HELD:
        for number, begin in ((0, FIRST), (1, FIRST + 10)):
            rows = [table.rows[row] for row in table.ways[way][bins == number]]
            refresh = begin if way in ("refreshed", "both_held") else FIRST
            history = begin if "held" in way else FIRST
            if way == "refreshed" and number:  # another refresh comes within the bin
                assert {row.known for row in rows} == {FIRST + 10, FIRST + 15}
            else:
                assert {(row.seen, row.known) for row in rows} == {(history, refresh)}


def test_the_running_mean_of_coin_flips_ranks_them_far_below_chance_within_a_user():
    # Why `_held` stands beside GAUC: a score that follows a user's values is compared at different times.
    draw = np.random.default_rng(0)
    flips = (draw.random((400, 40)) < draw.beta(5, 4, 400)[:, None]).astype(float)
    mean = (np.cumsum(flips, axis=1) - flips)[:, 30:] / np.arange(30, 40)
    assert gauc(np.repeat(np.arange(400), 10), flips[:, 30:].ravel(), mean.ravel()) < 0.3


def test_a_delay_takes_refreshes_away_and_never_adds_any(sources):
    table = freshness_table(sources)
    shares = [table.refreshed(f"both{suffix}") for suffix in ("", "_30s", "_10min", "_1d")]
    assert all((later <= earlier).all() for earlier, later in pairwise(shares))
    assert shares[0].mean() > shares[2].mean() > shares[3].mean() == 0
    assert all((table.refreshed(way.name) == 0).all() for way in WAYS if way.delay_s is None)


def test_nobody_who_is_measured_trains_or_stops_training(sources):
    split, design = freshness_split(sources.data), fold_users(sources.data, "design")
    assert sorted((*split.train, *split.valid)) == sorted(design.train)
    assert len(split.valid) == len(design.train) // 10 > 0
    assert not {*split.train, *split.valid} & {*freshness_table(sources).users}


@pytest.fixture
def page(sources):
    """Numbers of a network that reads only whether a row follows events, and then knows the answer."""
    table = freshness_table(sources)
    sample = np.zeros(len(table.rows))
    knows = np.zeros(len(table.rows))
    for way in WAYS:
        sample[table.ways[way.name]] = table.label
        knows[table.ways[way.name]] = way.follows
    draw = np.random.default_rng(0)
    seeds = [np.where(knows > 0, sample, draw.random(len(sample))) for _ in range(2)]
    about = {"dataset": "small", "seeds": 2, "commit": "abc", "missing": []}
    return numbers(table, {"din": seeds}, np.array([10.0, 30.0]), about)


def test_the_report_finds_the_gain_where_it_is_and_none_where_it_is_not(page):
    found = page["backbones"]["din"]
    assert (found["users"], found["samples"]) == (2, 2 * (RATED - FIRST))
    assert sum(one["samples"] for one in found["bins"]) == found["samples"]
    assert [one["events"] for one in found["bins"]] == [[0, 9], [10, 24]]
    ways = found["ways"]
    assert ways["following"]["auc"] == ways["both"]["auc"] == 1.0
    low, gain, high = ways["following"]["minus_frozen"]["auc"]
    assert 0 < low <= gain <= high
    assert gain == pytest.approx(1.0 - ways["frozen"]["auc"], abs=2e-5)
    assert ways["both"]["minus_following"]["auc"] == [0, 0, 0]
    made = files(page)
    assert set(made) == {"freshness.json", "freshness.md", "freshness-auc-din.svg", "freshness-gauc-din.svg"}
    text = made["freshness.md"]
    assert "(not told apart from nothing)" in text.split("Refreshed knowledge where events are followed")[1]
    assert "| 0 to 9 | 2 | 20 | 0% |" in text


def test_users_who_are_to_be_left_out_are_left_out(sources, page):
    parts = page["backbones"]["din"]["leave_out"]
    left = {*freshness_table(sources).users} & {"2", "5", "11", "15", "16", "42"}
    assert parts["without_glimpsed"]["users"] == 2 - len(left)
