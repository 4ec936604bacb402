"""Who trains: a slip here trains on somebody who was to be kept out."""

import pytest

from knowledge.base import TerminalError
from ranking.training_users import released, split

USERS = [str(number) for number in range(1, 101)]


def test_all_train_but_those_kept_out():
    parts = released(USERS, frozenset({"3", "99"}))
    assert set(parts) == {"train", "kept_out"}
    assert parts["kept_out"] == ("3", "99")
    assert set(parts["train"]) == set(USERS) - {"3", "99"}
    assert released(USERS, frozenset())["train"] == tuple(USERS)
    assert released(USERS, frozenset({"1"}), 2)["train"] == ("2", "3")


def test_the_split_keeps_its_parts_apart():
    parts = split(USERS, frozenset({"3"}))
    assert {name: len(users) for name, users in parts.items() if name != "train"} == {"valid": 10, "test": 10}
    together = [user for users in parts.values() for user in users]
    assert len(together) == len(set(together))
    assert "3" not in parts["train"]


@pytest.mark.parametrize("choose", [released, split])
def test_a_misspelt_user_is_refused_and_not_trained_on(choose):
    with pytest.raises(TerminalError, match="user 1O1 of --without-users is not in the data") as caught:
        choose(USERS, frozenset({"7", "1O1"}))
    assert caught.value.reason == "no_user"
    with pytest.raises(TerminalError, match="no training user is left"):
        choose(USERS, frozenset(USERS))
