"""Rows of any format to a `Dataset`: ids, numbers, times, doubles and references are checked here alone."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from knowledge.base import ItemProfile, TerminalError, UserProfile, is_id
from ranking.datasets.records import Dataset, Rating, id_order

_EARLIEST, _LATEST = 0.0, 4e9  # seconds: 1970 to 2096; beyond, the unit is wrong rather than the year


def bad(where: str, what: str) -> TerminalError:
    """An error about one row: `where` is `file:line`."""
    return TerminalError("bad_data", f"{where}: {what}")


def number(where: str, name: str, text: str) -> float:
    """A finite number. Raises `TerminalError` (`bad_data`)."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        raise bad(where, f"{name} {str(text)[:40]!r} is no number") from None
    if not math.isfinite(value):
        raise bad(where, f"{name} {str(text)[:40]!r} is not a finite number")
    return value


def seconds_time(where: str, seconds: float, unit: str = "s") -> datetime:
    """Time of a count since 1970 (UTC), already in seconds. Raises `TerminalError` (`bad_data`) out of range."""
    if not _EARLIEST <= seconds <= _LATEST:
        raise bad(where, f"{seconds:.0f} seconds since 1970 is no time of an event: is the unit really {unit!r}?")
    return datetime.fromtimestamp(seconds, UTC)


class Collector:
    """Takes rows, gives the data set.

    `closed_users`, `closed_items`: a rating of an unknown one is an error; else a user without fields and an item
    without a title are made of it.
    `drop_doubles`: of rows with equal user, item and time the first stays; else they are an error.
    """

    def __init__(self, closed_users: bool = True, closed_items: bool = True, drop_doubles: bool = False) -> None:
        self._closed_users = closed_users
        self._closed_items = closed_items
        self._drop = drop_doubles
        self._users: dict[str, UserProfile] = {}
        self._items: dict[str, ItemProfile] = {}
        self._ratings: list[tuple[Rating, str]] = []  # with where each stood

    def user(self, where: str, user_id: str, fields: Mapping[str, str]) -> None:
        """A user; raises `TerminalError` (`bad_data`) for a second row."""
        self._check(where, "user", user_id)
        if user_id in self._users:
            raise bad(where, f"a second row of user {user_id}: remove one")
        self._users[user_id] = UserProfile(user_id=user_id, fields=dict(fields))

    def item(self, where: str, item_id: str, title: str, fields: Mapping[str, str]) -> None:
        """An item; raises `TerminalError` (`bad_data`) for a second row."""
        self._check(where, "item", item_id)
        if item_id in self._items:
            raise bad(where, f"a second row of item {item_id}: remove one")
        self._items[item_id] = ItemProfile(item_id=item_id, title=title, fields=dict(fields))

    def rating(self, where: str, user_id: str, item_id: str, value: float, at: datetime) -> None:
        """A rating; `at` is aware. Users and items come before."""
        new_user, new_item = user_id not in self._users, item_id not in self._items
        if (new_user and self._closed_users) or (new_item and self._closed_items):
            raise bad(where, f"unknown user or item {[user_id, item_id]}")
        if new_user:
            self.user(where, user_id, {})
        if new_item:
            self.item(where, item_id, "", {})
        self._ratings.append((Rating(user_id, item_id, value, at), where))

    def dataset(self) -> Dataset:
        """All of it, sorted. Raises `TerminalError` (`bad_data`) for doubles, `no_data` for no ratings."""
        if not self._ratings:
            raise TerminalError("no_data", "the data set has no ratings: is this the right file?")
        order = {item: place for place, item in enumerate(sorted(self._items, key=id_order))}
        users = {user: place for place, user in enumerate(sorted(self._users, key=id_order))}
        self._ratings.sort(key=lambda pair: (pair[0].at, order[pair[0].item_id], users[pair[0].user_id]))
        kept: list[Rating] = []
        for rating, where in self._ratings:
            if kept and kept[-1].user_id == rating.user_id and kept[-1][1::2] == rating[1::2]:
                if not self._drop:
                    raise bad(
                        where,
                        f"a second row of user {rating.user_id} and item {rating.item_id} at {rating.at.isoformat()}: "
                        'remove one, or use a mapping file with duplicates = "drop"',
                    )
                continue
            kept.append(rating)
        return Dataset(
            tuple(kept),
            {user: self._users[user] for user in users},
            {item: self._items[item] for item in order},
        )

    @staticmethod
    def _check(where: str, kind: str, entity_id: str) -> None:
        if not is_id(entity_id):
            raise bad(where, f"{entity_id[:40]!r} is no {kind} id: 1 to 100 characters from A-Z a-z 0-9 _ . : @ -")
