import csv
from collections import defaultdict

import pytest

from knowledge.base import KnowledgeMode, TerminalError
from knowledge.recorded import RecordedStore, without_touched
from reki.paths import cache_dir

RATINGS = cache_dir() / "recbole" / "recbole" / "dataset_example" / "ml-100k" / "ml-100k.inter"


@pytest.fixture(scope="module")
def store():
    return RecordedStore.load()


@pytest.fixture(scope="module")
def histories():
    """User -> item ids by (time, item id as a number)."""
    if not RATINGS.is_file():
        pytest.skip("MovieLens-100K was not fetched: `sh scripts/setup` does it")
    rated = defaultdict(list)
    with RATINGS.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            rated[row["user_id:token"]].append((float(row["timestamp:float"]), int(row["item_id:token"])))
    return {user_id: [str(item) for _, item in sorted(ratings)] for user_id, ratings in rated.items()}


def test_every_film_and_user_is_there_with_nine_factors(store, scenario):
    assert len(store.items()) == 1682
    assert len(store.users()) == 943
    records = [*store.users().values(), *(store.item(item_id) for item_id in store.items())]
    assert all(tuple(record.factors) == scenario.factors for record in records)
    assert {record.mode for record in records} == {KnowledgeMode.RECORDED}


def test_the_initial_record_has_seen_exactly_the_users_history_length(store):
    assert {user_id: k.source_rev for user_id, k in store.users().items()} == dict(store.history_length)


def test_records_of_a_user_come_in_order_and_carry_expectations(store):
    refreshed = [user_id for user_id in store.users() if store.is_refreshed(user_id)]
    assert len(refreshed) == 178
    for user_id in refreshed:
        revs = [record.source_rev for record in store.refreshes(user_id)]
        assert revs == sorted(set(revs))
    assert sum(len(store.refreshes(user_id)) for user_id in store.users()) == 943 + 417
    record = store.refreshes("1")[0]
    assert len(record.expectations.likes) == len(record.expectations.dislikes) == 10
    assert 30 <= len(record.expectations.anchors) < 40


def test_newest_is_bounded_on_both_sides(store):
    revs = [record.source_rev for record in store.refreshes("2")]
    assert len(revs) > 2
    assert store.newest("2", -1, 10_000).source_rev == revs[-1]
    assert store.newest("2", revs[0], revs[1]).source_rev == revs[1]
    assert store.newest("2", revs[0], revs[1] - 1) is None
    assert store.newest("2", revs[1], revs[1]) is None
    assert store.newest("2", -1, revs[0] - 1) is None
    assert store.newest("nobody", -1, 10_000) is None


def test_298_expected_items_that_their_users_had_already_rated_are_dropped(histories):
    clean = RecordedStore.load(histories=histories)
    assert clean.dropped == 298
    for user_id, history in histories.items():
        for record in clean.refreshes(user_id):
            named = {*record.expectations.likes, *record.expectations.dislikes, *record.expectations.anchors}
            assert not named & set(history[: record.source_rev])


def test_history_lengths_are_the_split_of_the_data(store, histories):
    assert {u: min((len(h) + 1) // 2, 30) for u, h in histories.items()} == dict(store.history_length)


def test_a_second_load_is_not_cleaned_by_the_first(histories, store):
    RecordedStore.load(histories=histories)
    again = RecordedStore.load()
    assert again.dropped == 0
    assert again.refreshes("1") == store.refreshes("1")


def test_what_is_touched_falls_and_is_counted_but_anchors_are_not(store):
    record = store.refreshes("1")[0]
    like, dislike = record.expectations.likes[0], record.expectations.dislikes[1]
    anchor = next(iter(record.expectations.anchors))
    clean, dropped = without_touched(record, {like, dislike, anchor})
    assert dropped == 2
    assert like not in clean.expectations.likes
    assert anchor not in clean.expectations.anchors
    assert len(record.expectations.likes) == 10


def test_an_unknown_item_has_no_record(store):
    assert store.item("no-such-film") is None


def test_damaged_data_is_one_plain_error(tmp_path):
    with pytest.raises(TerminalError) as caught:
        RecordedStore.load(tmp_path)
    assert caught.value.reason == "bad_recorded"
