"""Copies of training samples that show a user's newest few events, and nothing that they must not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowledge.recorded import RecordedStore
from knowledge.scenario import load_scenario
from ranking.collaborative import RANK
from ranking.columns import fill
from ranking.head import MatchingHead
from ranking.inputs import build_samples
from ranking.shape import RankerShape
from ranking.short_histories import MOST, SHARE, newest, with_short_histories
from ranking.variants import VARIANTS

USERS = ["4", "9", "13", "19"]


@pytest.fixture(scope="module")
def store(movielens):
    histories = {user: [rating.item_id for rating in own] for user, own in movielens.by_user().items()}
    return RecordedStore.load(histories=histories)


@pytest.fixture(scope="module")
def samples(movielens, store):
    return _samples(movielens, store)


def _samples(movielens, store):
    known = {user: store.users()[user] for user in USERS}
    return build_samples(movielens, known, store.catalogue.anchors, load_scenario("films"), 100)


def test_a_copy_shows_the_events_just_before_its_candidate_and_no_other(movielens, samples):
    numbers = np.arange(0, len(samples), 3)
    events = 1 + np.arange(len(numbers)) % MOST
    short = newest(samples, numbers, events)
    rows = {item: row for row, item in enumerate(samples.items, start=1)}
    by_user = movielens.by_user()
    for place, (number, count) in enumerate(zip(numbers, events, strict=True)):
        own = by_user[samples.users[samples.user[number]]]
        candidate = [rows[rating.item_id] for rating in own].index(samples.item[number])
        before = own[candidate - count : candidate][::-1]
        seen = short.ring.item[place]
        assert seen[seen > 0].tolist() == [rows[rating.item_id] for rating in before]
        assert short.ring.value[place].tolist() == [r.value for r in before] + [0] * (len(seen) - count)
        assert not short.ring.side[place, count:].any()
    for name in ("user", "item", "label", "told"):
        np.testing.assert_array_equal(getattr(short, name), getattr(samples, name)[numbers])
    assert not short.since.any()  # the knowledge has seen more events than are shown
    np.testing.assert_allclose(short.statistics(np.arange(len(short)))[:, 3], np.log1p(events), rtol=1e-6)


def test_neither_the_own_nor_a_hidden_nor_a_later_event_changes_a_copy(movielens, store, samples):
    """Ratings of a user turned into their opposite, from the sample on and those too old to be shown."""
    number, count = int(np.flatnonzero(samples.user == 1)[8]), 3
    user = samples.users[1]
    own = movielens.by_user()[user]
    place = len(own) - int((samples.user == 1).sum()) + 8
    first = store.users()[user].source_rev
    turned = {r.item_id for r in (*own[first : place - count], *own[place:])}  # knowledge has seen the others
    assert turned
    ratings = tuple(
        r._replace(value=6 - r.value) if r.user_id == user and r.item_id in turned else r for r in movielens.ratings
    )
    changed = _samples(replace(movielens, ratings=ratings), store)
    short, other = (newest(one, np.array([number]), np.array([count])) for one in (samples, changed))
    assert (samples.ring.value[number] != changed.ring.value[number]).any()  # the sample itself does show them
    shape = RankerShape(len(samples.items) + 1, groups=tuple(VARIANTS["ours"].groups), collaborative=RANK)
    head = MatchingHead(shape)
    torch.manual_seed(0)
    for name in ("collaborative", "taste", "anchor_vec", "anchor_likeness", "items"):
        head.get_buffer(name).normal_()
    vectors = torch.nn.functional.normalize(torch.randn(len(samples.items) + 1, 9, 16), dim=-1)
    vectors[0] = 0
    index = torch.arange(len(vectors), dtype=torch.int32)
    columns = [{}, {}]
    for made, one in zip(columns, (short, other), strict=True):
        fill(made, head, one, vectors, index, np.array([0]), 50, shape.groups)
    for name, value in columns[0].items():
        assert torch.equal(value, columns[1][name]), name
    ids = [one.ids(np.array([0]), index, 50) for one in (short, other)]
    assert all(torch.equal(value, ids[1][name]) for name, value in ids[0].items())
    assert (ids[0]["hist_index"] > 0).sum() == count


def test_a_tenth_of_the_training_samples_is_copied_and_the_same_seed_copies_the_same(samples):
    training = samples.of(USERS[:3])
    both, short = with_short_histories(samples, training, 0)
    assert short.tolist() == list(range(len(samples), len(both)))
    assert len(short) == round(SHARE * len(training))
    assert set(both.user[short]) <= set(samples.user[training])  # nobody who does not train
    shown = (both.ring.item[short] > 0).sum(1)
    assert set(shown) == set(range(1, MOST + 1))
    size = len(samples)
    for name in ("user", "item", "label", "since", "told"):
        np.testing.assert_array_equal(getattr(both, name)[:size], getattr(samples, name))
    np.testing.assert_array_equal(both.ring.item[:size], samples.ring.item)
    again, _ = with_short_histories(samples, training, 0)
    other, _ = with_short_histories(samples, training, 1)
    np.testing.assert_array_equal(again.ring.item, both.ring.item)
    np.testing.assert_array_equal(again.item, both.item)
    assert (other.item[short] != both.item[short]).any()
