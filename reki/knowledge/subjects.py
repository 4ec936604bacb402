"""Whom a bulk run asks about, wherever that is read from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from knowledge.base import ItemProfile
from knowledge.requests import UserRequest


@dataclass(frozen=True)
class UserSubject:
    """One user's request, and the life (`epoch`) that it was read in: a forgotten user gets nothing written."""

    request: UserRequest
    epoch: int = 0

    @property
    def entity_id(self) -> str:
        """The user's id."""
        return self.request.user_id


@dataclass(frozen=True)
class ItemSubject:
    """One item."""

    profile: ItemProfile

    @property
    def entity_id(self) -> str:
        """The item's id."""
        return self.profile.item_id


Subject = UserSubject | ItemSubject


class Subjects(Protocol):
    """Users and items in a fixed order (numbers by value, then words), so that `--limit` takes the same every time."""

    def titles(self, item_ids: Sequence[str]) -> Mapping[str, str]:
        """Item id -> title (untrusted text), of those that have one."""
        ...

    def user_ids(self, missing: bool = False) -> list[str]:
        """Users with events; with `missing` only those without knowledge in force."""
        ...

    def item_ids(self, missing: bool = False) -> list[str]:
        """Items with a profile; with `missing` only those without knowledge in force."""
        ...

    def users(self, ids: Sequence[str]) -> Iterator[UserSubject]:
        """Requests for full generations, read lazily; who has no events any more is left out."""
        ...

    def items(self, ids: Sequence[str]) -> Iterator[ItemSubject]:
        """Profiles, read lazily."""
        ...


def in_order(ids: Iterable[str]) -> list[str]:
    """Sorted as people count: 9 before 10, numbers before words."""
    return sorted(ids, key=lambda one: (0, int(one), one) if one.isdecimal() and one.isascii() else (1, 0, one))
