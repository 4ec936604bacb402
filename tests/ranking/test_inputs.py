"""Training sees what serving sees: rows built all at once against serving's own functions."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from encoders.expected import expected
from encoders.experienced import experienced
from encoders.history import effective
from encoders.statistics import user_statistics
from knowledge.base import Action, Polarity, TerminalError
from knowledge.recorded import RecordedStore
from knowledge.scenario import load_scenario
from ranking.inputs import Space, build_samples
from ranking.split import history_length

RING, HISTORY = 100, 50
USERS = ["1", "4", "9", "13", "19", "196", "405", "699"]  # the longest, short ones, one that rates all alike
FILMS = load_scenario("films")


@dataclass(frozen=True)
class Entry:
    item_id: str
    value: float
    polarity: Polarity
    occurred_at: int
    offset: int
    rev: int


@pytest.fixture(scope="module")
def store(movielens):
    histories = {user: [rating.item_id for rating in own] for user, own in movielens.by_user().items()}
    return RecordedStore.load(histories=histories)


def build(movielens, store, users=USERS):
    known = {user: store.users()[user] for user in users}
    return build_samples(movielens, known, store.catalogue.anchors, FILMS, RING)


@pytest.fixture(scope="module")
def space(movielens):
    torch.manual_seed(0)
    item_vec = torch.nn.functional.normalize(torch.randn(len(movielens.items) + 1, 9, 16), dim=-1)
    item_vec[0] = 0
    return Space(item_vec, torch.randn(len(item_vec), 32), torch.randn(len(USERS), 32))


def served(ratings, end, record, store, vectors):
    """The user's side before event number `end` (from 0), by the functions that the workers call."""
    ring = [
        Entry(r.item_id, r.value, FILMS.outcome(Action.RATE, r.value).polarity, int(r.at.timestamp()), -1, rev)
        for rev, r in enumerate(ratings[:end], start=1)
    ][-RING:]
    entries = effective(ring)
    own = {r.item_id: r.value for r in ratings[: record.source_rev]}
    means, anchors = expected(record.expectations, own, vectors, store.catalogue.anchors)
    stats = user_statistics([e.value for e in entries], [e.polarity for e in entries])
    return {
        "user_stats": np.append(stats, np.float32(np.log1p(end - record.source_rev))),
        "user_experienced": experienced(entries, vectors),
        "user_expected": means,
        "user_anchors": anchors,
        "history": [(e.item_id, e.value) for e in entries[:HISTORY]],
    }


def test_rows_built_at_once_equal_those_of_the_serving_functions(movielens, store, space):
    samples = build(movielens, store)
    vectors = {item: space.item_vec[row].numpy() for row, item in enumerate(samples.items, start=1)}
    index = torch.arange(len(space.item_vec), dtype=torch.int32) + 1  # row 1 is the first of the vocabulary, 2
    index[0] = 0
    by_user = movielens.by_user()
    draw = np.random.default_rng(7)
    numbers = np.sort(draw.choice(len(samples), 150, replace=False))
    batch = samples.batch(numbers, space, index, HISTORY)
    for place, number in enumerate(numbers):
        user = samples.users[samples.user[number]]
        ratings, record = by_user[user], store.users()[user]
        end = record.source_rev + int(samples.since[number])
        assert samples.items[samples.item[number] - 1] == ratings[end].item_id
        assert samples.label[number] == (ratings[end].value > 3)
        wanted = served(ratings, end, record, store, vectors)
        for name in ("user_stats", "user_experienced", "user_expected", "user_anchors"):
            np.testing.assert_allclose(batch[name][place], wanted[name], rtol=1e-4, atol=1e-5, err_msg=name)
        history = wanted["history"]
        rows = [samples.items.index(item) + 1 for item, _ in history]
        padding = [0] * (HISTORY - len(history))
        assert batch["hist_index"][place].tolist() == [row + 1 for row in rows] + padding
        assert batch["hist_value"][place].tolist() == [value for _, value in history] + padding
        np.testing.assert_array_equal(batch["hist_vec"][place], space.item_vec[rows + padding])
        np.testing.assert_array_equal(batch["item_vec"][place, 0], space.item_vec[samples.item[number]])


def test_flipping_a_samples_own_label_changes_none_of_its_inputs(movielens, store, space):
    user = "4"
    known = {user: store.users()[user]}
    ratings = movielens.by_user()[user]
    index = torch.arange(len(space.item_vec), dtype=torch.int32)
    straight = build_samples(movielens, known, store.catalogue.anchors, FILMS, RING)
    for sample, rating in enumerate(ratings[history_length(len(ratings)) :]):
        other = rating._replace(value=1.0 if rating.value > 3 else 5.0)
        changed = replace(movielens, ratings=tuple(other if r is rating else r for r in movielens.ratings))
        flipped = build_samples(changed, known, store.catalogue.anchors, FILMS, RING)
        assert flipped.label[sample] != straight.label[sample]
        number = np.array([sample])
        before = straight.batch(number, space, index, HISTORY)
        after = flipped.batch(number, space, index, HISTORY)
        for name, tensor in before.items():
            assert torch.equal(tensor, after[name]), name
        # It does change what comes after it: else this test would pass for inputs that never look.
        later = np.arange(sample + 1, len(straight))
        if len(later):
            assert not np.array_equal(straight.statistics(later), flipped.statistics(later))


def test_an_item_rated_twice_counts_once_with_its_newest_value(movielens, store, space):
    user = "4"
    ratings = movielens.by_user()[user]
    again = ratings[2]._replace(value=6 - ratings[2].value, at=ratings[-1].at)
    last = ratings[-1]._replace(item_id="1682")
    mine = [*ratings[:-1], again, last]
    data = replace(movielens, ratings=tuple(mine))
    record = store.users()[user].model_copy(update={"source_rev": history_length(len(mine))})
    samples = build_samples(data, {user: record}, store.catalogue.anchors, FILMS, RING)
    vectors = {item: space.item_vec[row].numpy() for row, item in enumerate(samples.items, start=1)}
    index = torch.arange(len(space.item_vec), dtype=torch.int32)
    final = np.array([len(samples) - 1])
    wanted = served(mine, len(mine) - 1, record, store, vectors)
    batch = samples.batch(final, space, index, HISTORY)
    np.testing.assert_allclose(batch["user_stats"][0], wanted["user_stats"], rtol=1e-5)
    np.testing.assert_allclose(batch["user_experienced"][0], wanted["user_experienced"], rtol=1e-4, atol=1e-5)
    assert batch["hist_index"][0, : len(mine)].count_nonzero() == len(mine) - 2


def test_a_record_that_has_seen_a_target_is_refused(movielens, store):
    record = store.refreshes("4")[-1]
    with pytest.raises(TerminalError, match="not the first"):
        build_samples(movielens, {"4": record}, store.catalogue.anchors, FILMS, RING)
