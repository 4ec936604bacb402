"""Training data through Feast equal those built from an index, and never hold the sample's own label."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch

from feature_repo.schema import ANCHORS, DIM, FACTORS, SUMMARY
from knowledge.base import TerminalError
from knowledge.recorded import RecordedStore
from knowledge.scenario import load_scenario
from ranking.datasets.movielens import Rating
from ranking.inputs import Space, build_samples
from ranking.offline.compare import compare
from ranking.offline.join import Joined, asked, read
from ranking.offline.rows import Prestored, user_rows
from ranking.offline.store import RowWriter, TrainingStore
from ranking.offline.times import asking_times, readable_times
from ranking.split import history_length

FILMS = load_scenario("films")
USERS = ("4", "9", "19", "196", "405", "699")  # short ones, the longest, one that rates all alike
FLIPPED = ("4", "19")  # each sample of theirs is flipped once, in a copy of the user
START = datetime(1998, 1, 1, tzinfo=UTC)
RING = 100


def rated(seconds):
    return [Rating("u", str(place), 4.0, START + timedelta(seconds=s)) for place, s in enumerate(seconds)]


def test_events_of_one_second_become_readable_one_after_the_other():
    times = readable_times(rated([0, 0, 0, 1, 1]))
    assert [(at - START) / timedelta(microseconds=1) for at in times] == [0, 1, 2, 1_000_000, 1_000_001]


def test_a_log_that_tells_microseconds_apart_keeps_its_order():
    first, second, third = rated([0, 0, 0])
    times = readable_times([first, second, third._replace(at=third.at + timedelta(microseconds=1))])
    assert times == sorted(set(times))


def test_a_sample_asks_before_its_own_row_and_after_the_one_before():
    ratings = rated([0, 0, 0, 5])
    rows, asks = readable_times(ratings), asking_times(ratings)
    for place, ask in enumerate(asks):
        assert [at <= ask for at in rows] == [other < place for other in range(4)]
    blind = asking_times(ratings, page_blind=True)
    assert [sum(at <= ask for at in rows) for ask in blind] == [0, 0, 0, 3]


def test_a_delay_hides_what_was_not_yet_readable():
    ratings = rated([0, 100, 650, 1300])
    rows = readable_times(ratings, timedelta(minutes=10))
    assert [sum(at <= ask for at in rows) for ask in asking_times(ratings)] == [0, 0, 1, 3]


@pytest.fixture(scope="module")
def store(movielens):
    histories = {user: [rating.item_id for rating in own] for user, own in movielens.by_user().items()}
    return RecordedStore.load(histories=histories)


@pytest.fixture(scope="module")
def prestored(movielens, store):
    draw = np.random.default_rng(3)

    def numbers(*shape):
        return draw.standard_normal(shape).astype(np.float32) / 4

    return Prestored(
        "0123456789ab",
        store.catalogue.anchors,
        {item: numbers(FACTORS, DIM) for item in movielens.items},
        {item: numbers(SUMMARY) for item in movielens.items},
        {user: numbers(SUMMARY) for user in movielens.users},
    )


def test_a_record_of_more_events_than_there_are_is_refused(movielens, store, prestored):
    ratings = movielens.by_user()["4"]
    record = store.users()["4"].model_copy(update={"source_rev": len(ratings) + 1})
    with pytest.raises(TerminalError, match="has seen"):
        list(user_rows("4", ratings, [record], FILMS, prestored))


def flipped(ratings, place):
    other = 1.0 if ratings[place].value > 3 else 5.0
    return [r._replace(value=other) if number == place else r for number, r in enumerate(ratings)]


def copies(ratings):
    """Number of the flipped event by the id of the copy."""
    return {f"{ratings[0].user_id}.{place}": place for place in range(history_length(len(ratings)), len(ratings))}


@pytest.fixture(scope="module")
def training(movielens, store, prestored, tmp_path_factory):
    """A Feast repository with these users, and for each sample of `FLIPPED` a copy with that label flipped."""
    made = TrainingStore(tmp_path_factory.mktemp("training"))
    made.create()
    writer, by_user = RowWriter(made), movielens.by_user()
    writer.items(prestored)
    for user in USERS:
        writer.user(user, user_rows(user, by_user[user], [store.users()[user]], FILMS, prestored))
    for user in FLIPPED:
        for copy, place in copies(by_user[user]).items():
            writer.user(copy, user_rows(user, flipped(by_user[user], place), [store.users()[user]], FILMS, prestored))
    writer.close()
    return made


@pytest.fixture(scope="module")
def feast(training):
    return training.feast()


@pytest.mark.slow
@pytest.mark.parametrize("page_blind", [False, True])
def test_features_read_through_feast_equal_those_built_from_the_index(movielens, store, prestored, feast, page_blind):
    known = {user: store.users()[user] for user in USERS}
    samples = build_samples(movielens, known, prestored.anchors, FILMS, RING, page_blind)
    by_user = movielens.by_user()
    zero = np.zeros((1, FACTORS, DIM), np.float32)
    space = Space(
        torch.from_numpy(np.concatenate([zero, np.stack([prestored.item_vec[item] for item in samples.items])])),
        torch.from_numpy(np.stack([np.zeros(SUMMARY, np.float32), *prestored.item_summary.values()])),
        torch.from_numpy(np.stack([prestored.user_summary[user] for user in samples.users])),
    )
    joined = Joined.of(read(feast, asked({user: by_user[user] for user in samples.users}, page_blind)))
    assert joined.anchors.shape == (len(samples), ANCHORS)
    result = compare(samples, space, joined)
    assert result.samples == len(samples) > 800
    assert result.mismatches == dict.fromkeys(result.mismatches, 0)
    # The other order of events is another answer: the comparison can fail.
    other = build_samples(movielens, known, prestored.anchors, FILMS, RING, not page_blind)
    assert compare(other, space, joined).mismatches["user_stats"] > 100


@pytest.mark.slow
def test_flipping_a_samples_own_label_changes_none_of_its_features_read_through_feast(movielens, feast):
    by_user = movielens.by_user()
    for user in FLIPPED:
        straight = asked({user: by_user[user]})
        first = history_length(len(by_user[user]))
        before = read(feast, straight).drop_columns(["user_id"])
        changed = 0
        for copy, place in copies(by_user[user]).items():
            after = read(feast, straight.assign(user_id=copy)).drop_columns(["user_id"])
            sample = place - first
            assert after.slice(0, sample + 1).equals(before.slice(0, sample + 1))
            changed += not after.slice(sample + 1).equals(before.slice(sample + 1))
        assert changed == len(straight) - 1  # all but the last, which nothing follows
