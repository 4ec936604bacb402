"""The data set and who is in which part of it."""

import json
from importlib.resources import files

import pytest

from knowledge.base import TerminalError
from knowledge.recorded import RecordedStore
from ranking.datasets.movielens import load
from ranking.split import history_length, split_users


def test_all_ratings_users_and_films_are_read_in_order(movielens):
    assert (len(movielens.ratings), len(movielens.users), len(movielens.items)) == (100_000, 943, 1682)
    keys = [(rating.at, int(rating.item_id)) for rating in movielens.ratings]
    assert keys == sorted(keys)
    assert movielens.items["12"].title == "Usual Suspects, The (1995)"
    assert movielens.items["12"].fields == {"genres": "Crime, Thriller", "year": "1995"}
    assert movielens.users["1"].fields == {"age": "24", "gender": "M", "occupation": "technician"}


def test_the_order_is_the_one_in_which_the_recorded_knowledge_was_written(movielens):
    ratings, store = movielens.by_user(), RecordedStore.load()
    for user, record in store.users().items():
        touched = {rating.item_id for rating in ratings[user][: record.source_rev]}
        # The writer left out exactly the anchors that the user had rated by then.
        assert set(store.catalogue.anchors) - set(record.expectations.anchors) == touched & set(store.catalogue.anchors)


def test_history_lengths_are_those_of_the_records(movielens):
    recorded = json.loads((files("knowledge") / "data/ml-100k/history_length.json").read_text())
    found = {user: history_length(len(ratings)) for user, ratings in movielens.by_user().items()}
    assert found == recorded
    assert sum(len(ratings) - found[user] for user, ratings in movielens.by_user().items()) == 77_277


def test_refreshed_users_are_all_outside_training(movielens):
    split = split_users(list(movielens.by_user()))
    assert [len(split.train), len(split.valid), len(split.test)] == [754, 94, 95]
    assert len({*split.train, *split.valid, *split.test}) == 943
    store = RecordedStore.load()
    refreshed = {user for user in movielens.users if store.is_refreshed(user)}
    assert len(refreshed) == 178
    assert not refreshed & set(split.train)


def test_grouplens_own_files_give_the_same_records(movielens, tmp_path):
    (tmp_path / "u.data").write_text("1\t2\t3\t881250949\n1\t1\t5\t881250949\n")
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n")
    flags = "|".join("1" if place in (3, 4, 5) else "0" for place in range(19))
    films = f"1|Toy Story (1995)|01-Jan-1995||http://x|{flags}\n2|Caf\xe9 (1996)|01-Jan-1996|||{flags}\n"
    (tmp_path / "u.item").write_bytes(films.encode("latin-1"))
    data = load(tmp_path)
    assert [rating.item_id for rating in data.ratings] == ["1", "2"]
    assert data.items["1"] == movielens.items["1"]
    assert data.users["1"] == movielens.users["1"]
    assert data.items["2"].title == "Caf\xe9 (1996)"


def test_missing_or_broken_files_are_named(tmp_path):
    with pytest.raises(TerminalError, match="no MovieLens-100K in"):
        load(tmp_path)
    (tmp_path / "u.data").write_text("1\t1\tfive\t881250949\n")
    with pytest.raises(TerminalError, match=r"u\.item is missing"):
        load(tmp_path)
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n")
    (tmp_path / "u.item").write_text("1|Toy Story (1995)|01-Jan-1995||||" + "|0" * 18 + "\n")
    with pytest.raises(TerminalError, match=r"u\.data:1: rating 'five' is no number"):
        load(tmp_path)
    (tmp_path / "u.data").write_text("1\t9\t5\t881250949\n")
    with pytest.raises(TerminalError, match=r"u\.data:1: unknown user or item"):
        load(tmp_path)
