"""New users who show what they are allowed to show, and new items of which training knows nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowledge.recorded import RecordedStore
from ranking.collaborative import RANK
from ranking.columns import fill, set_collaborative
from ranking.datasets.movielens import load
from ranking.datasets.records import Dataset
from ranking.evaluate.cold_items import ColdSources, build_cold, cold_items, cold_rows
from ranking.evaluate.cold_users import GROUPS, columns_by_user, cut, fitted_head, test_samples
from ranking.fold import HISTORY, FoldMaterial, fold_users
from ranking.head import MatchingHead
from ranking.shape import RankerShape
from ranking.sources import Sources
from reki.paths import cache_dir
from reki.settings import load_settings

MOVIELENS = cache_dir() / "recbole/recbole/dataset_example/ml-100k"
test_samples.__test__ = False  # a function of the product, whatever pytest thinks of its name


@pytest.fixture(scope="module")
def sources():
    """The first 30 users, and the items that they rated."""
    if not MOVIELENS.is_dir():
        pytest.skip("MovieLens-100K was not fetched: `sh scripts/setup` does it")
    data = load(MOVIELENS)
    users = {user: profile for user, profile in data.users.items() if int(user) <= 30}
    ratings = tuple(rating for rating in data.ratings if rating.user_id in users)
    rated = {rating.item_id for rating in ratings}
    small = Dataset(ratings, users, {item: profile for item, profile in data.items.items() if item in rated})
    histories = {user: [rating.item_id for rating in own] for user, own in small.by_user().items()}
    return Sources(small, RecordedStore.load(histories=histories))


@pytest.fixture(scope="module")
def material(sources):
    """As much of a fold's material as the head needs."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(len(sources.data.items) + 1, 9, 16), dim=-1)
    vectors[0] = 0
    size = len(sources.vocabulary(fold_users(sources.data, 0).train)) + 2
    none, nobody = torch.zeros(0), np.zeros(0, dtype=np.int64)
    return FoldMaterial("0", False, (), size, none, none, none, none, {}, {}, vectors, none, nobody, nobody, nobody)


@pytest.mark.parametrize("events", [0, 1, 5])
def test_a_cold_user_shows_the_first_events_and_no_later_one(sources, events):
    samples = test_samples(sources, 0)
    cold = cut(samples, sources, events)
    rows = {item: row for row, item in enumerate(samples.items, start=1)}
    for number, user in enumerate(samples.users):
        first = [rows[rating.item_id] for rating in sources.data.by_user()[user][:events]]
        for sample in np.flatnonzero(samples.user == number):
            seen = cold.ring.item[sample]
            assert seen[seen > 0].tolist() == first[::-1]
    assert not cold.since.any()
    assert (cold.statistics(np.arange(len(cold)))[:, 3] == np.float32(np.log1p(events))).all()
    np.testing.assert_array_equal(cold.label, samples.label)
    np.testing.assert_array_equal(cold.anchors, samples.anchors)  # the knowledge stays as it is


def test_columns_solved_once_a_user_are_those_solved_sample_by_sample(sources, material):
    samples = cut(test_samples(sources, 0), sources, 5)
    head, index = fitted_head(material, sources, 0)
    found = columns_by_user(head, samples, material.item_vec, index)
    numbers = np.arange(0, len(samples), 7)
    wanted = {}
    fill(wanted, head, samples, material.item_vec, index, numbers, HISTORY, GROUPS)
    assert found.keys() == wanted.keys()
    for name in GROUPS:
        assert len(found[name]) == len(samples)
        torch.testing.assert_close(found[name][numbers], wanted[name][numbers], atol=2e-3, rtol=2e-3)
    assert found["anchored"].std() > 0.01
    assert found["taste"].std() > 0.01


def test_a_tenth_of_the_items_of_every_popularity_is_cold_and_always_the_same(sources):
    cold = cold_items(sources.data)
    assert cold == cold_items(sources.data)
    counts = dict.fromkeys(sources.data.items, 0)
    for rating in sources.data.ratings:
        counts[rating.item_id] += 1
    ordered = sorted(counts, key=lambda item: counts[item])
    for part in np.array_split(np.array(ordered), 10):
        assert len(cold & set(part.tolist())) == round(0.1 * len(part))
    assert cold_rows(sources.data).sum() == len(cold)


def test_no_table_knows_what_training_users_gave_to_a_cold_item(sources, material):
    cold, training = cold_items(sources.data), fold_users(sources.data, 0).train
    hidden = ColdSources(sources.data, sources.store, cold)
    ratings = tuple(r._replace(value=6 - r.value) if r.item_id in cold else r for r in sources.data.ratings)
    changed = ColdSources(replace(sources.data, ratings=ratings), sources.store, cold)
    vocabulary = hidden.vocabulary(training)
    assert not cold & vocabulary.keys()
    assert sorted(vocabulary.values()) == list(range(2, len(vocabulary) + 2))
    assert vocabulary.keys() == sources.vocabulary(training).keys() - cold
    heads = []
    for one in (hidden, changed):
        head = MatchingHead(RankerShape(len(vocabulary) + 2, groups=GROUPS, collaborative=RANK))
        set_collaborative(head, one, training, vocabulary, material.item_vec)
        heads.append(head.state_dict())
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert heads[0]["taste"].abs().sum() > 0


@pytest.mark.slow
def test_cold_items_are_in_no_training_sample_and_unknown_in_histories(sources):
    material = build_cold(sources, load_settings().encoders.encodings_dir, 0)
    rows = cold_rows(sources.data)[material.item.numpy()]
    assert not rows[material.train].any()
    assert not rows[material.valid].any()
    assert 0 < rows[material.test].mean() < 0.5
    assert (material.ids["item_index"][torch.from_numpy(rows)] == 1).all()
    assert (material.ids["hist_index"] == 1).any()
