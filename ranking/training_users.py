"""Whose samples train a release, and whose only show how good it is."""

from collections.abc import Mapping, Sequence

from knowledge.base import TerminalError
from ranking.split import split_users

Users = tuple[str, ...]
TRAIN, KEPT_OUT = "train", "kept_out"


def released(users: Sequence[str], without: frozenset[str], most: int | None = None) -> Mapping[str, Users]:
    """All users train but those `without`: `train`, `kept_out`. At most `most` train.

    Raises `TerminalError`: `no_user` for one to be kept out who is not there (a slip here would train on somebody),
    `no_data` if nobody is left.
    """
    _all_known(users, without)
    return _checked({TRAIN: _train(users, without, most), KEPT_OUT: tuple(user for user in users if user in without)})


def split(users: Sequence[str], without: frozenset[str], most: int | None = None) -> Mapping[str, Users]:
    """The seed-1234 split: `train` (but those `without`), `valid`, `test`, each of at most `most`; raises as above."""
    _all_known(users, without)
    made = split_users(users)
    return _checked({TRAIN: _train(made.train, without, most), "valid": made.valid[:most], "test": made.test[:most]})


def _train(users: Sequence[str], without: frozenset[str], most: int | None) -> Users:
    return tuple(user for user in users if user not in without)[:most]


def _all_known(users: Sequence[str], without: frozenset[str]) -> None:
    strange = sorted(without.difference(users))
    if strange:
        raise TerminalError("no_user", f"user {strange[0]} of --without-users is not in the data: nobody is kept out")


def _checked(parts: Mapping[str, Users]) -> Mapping[str, Users]:
    if not parts[TRAIN]:
        raise TerminalError("no_data", "no training user is left: name fewer in --without-users")
    return parts
