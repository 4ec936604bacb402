"""A data set as records, whatever file format it came from."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from knowledge.base import ItemProfile, UserProfile


class Rating(NamedTuple):
    """One event with a value (films: 1 to 5 stars). `at` is UTC."""

    user_id: str
    item_id: str
    value: float
    at: datetime


@dataclass(frozen=True)
class Dataset:
    """Ratings, users and items. `ratings` are sorted by (time, item id, user id); numbers sort as numbers."""

    ratings: tuple[Rating, ...]
    users: dict[str, UserProfile]
    items: dict[str, ItemProfile]

    def by_user(self) -> dict[str, list[Rating]]:
        """Each user's ratings in order; users in the order of their ids; users without ratings are left out."""
        users: dict[str, list[Rating]] = {user_id: [] for user_id in self.users}
        for rating in self.ratings:
            users[rating.user_id].append(rating)
        return {user_id: ratings for user_id, ratings in users.items() if ratings}


def id_order(identifier: str) -> tuple[int, str]:
    """Sort key of an id: 9 before 10, as in the order in which the recorded knowledge was written."""
    return (int(identifier), identifier) if identifier.isdigit() else (1 << 62, identifier)
