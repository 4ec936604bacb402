"""MovieLens-100K: ratings, users and films, from a local folder.

Reads the files of GroupLens (`u.data`, `u.item`, `u.user`) or of RecBole's wheel (`ml-100k.inter`, `.item`, `.user`).
The ratings may not be redistributed (research use): they are fetched at set-up and never committed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from knowledge.base import ItemProfile, TerminalError, UserProfile

# In the order of u.genre.
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
T = TypeVar("T")


class Rating(NamedTuple):
    """One rating. `value` is 1 to 5 stars; `at` is UTC with a resolution of one second."""

    user_id: str
    item_id: str
    value: float
    at: datetime


@dataclass(frozen=True)
class MovieLens:
    """The data set. `ratings` are sorted by (time, item id as a number, user id)."""

    ratings: tuple[Rating, ...]
    users: dict[str, UserProfile]
    items: dict[str, ItemProfile]

    def by_user(self) -> dict[str, list[Rating]]:
        """Each user's ratings in order; users in the order of their numbers."""
        users: dict[str, list[Rating]] = {user_id: [] for user_id in self.users}
        for rating in self.ratings:
            users[rating.user_id].append(rating)
        return {user_id: ratings for user_id, ratings in users.items() if ratings}


def load(folder: Path | str) -> MovieLens:
    """Read the data set; raises `TerminalError` (`no_data`, `bad_data`) that says what is missing or wrong."""
    root = Path(folder)
    if (root / "ml-100k.inter").exists():
        names, read_items, skip = ("ml-100k.inter", "ml-100k.item", "ml-100k.user"), _recbole_item, 1
    elif (root / "u.data").exists():
        names, read_items, skip = ("u.data", "u.item", "u.user"), _grouplens_item, 0
    else:
        raise TerminalError(
            "no_data",
            f"no MovieLens-100K in {root}: it needs ml-100k.inter, .item and .user, or u.data, u.item, u.user",
        )
    separators = ("\t", "\t", "\t") if skip else ("\t", "|", "|")
    items = {}
    for line, fields in _rows(root / names[1], separators[1], skip, least=4):
        item = _checked(root / names[1], line, read_items, fields)
        items[item.item_id] = item
    users = {}
    for line, fields in _rows(root / names[2], separators[2], skip, least=4):
        user = _checked(root / names[2], line, _user, fields)
        users[user.user_id] = user
    ratings = []
    path = root / names[0]
    for line, fields in _rows(path, separators[0], skip, least=4):
        rating = _checked(path, line, _rating, fields)
        if rating.user_id not in users or rating.item_id not in items:
            raise TerminalError("bad_data", f"{path}:{line}: unknown user or item {fields[:2]}")
        ratings.append(rating)
    ratings.sort(key=lambda rating: (rating.at, _number(rating.item_id), _number(rating.user_id)))
    return MovieLens(
        tuple(ratings),
        dict(sorted(users.items(), key=lambda pair: _number(pair[0]))),
        dict(sorted(items.items(), key=lambda pair: _number(pair[0]))),
    )


def _rows(path: Path, separator: str, skip: int, least: int) -> Iterator[tuple[int, list[str]]]:
    if not path.exists():
        raise TerminalError("no_data", f"{path} is missing")
    # GroupLens' own files are Latin-1, RecBole's are UTF-8 without anything beyond ASCII.
    for number, line in enumerate(path.read_text(encoding="latin-1").split("\n"), start=1):
        if number <= skip or not line.strip():
            continue
        fields = line.rstrip("\r").split(separator)
        if len(fields) < least:
            raise TerminalError("bad_data", f"{path}:{number}: {len(fields)} columns where {least} are needed")
        yield number, fields


def _checked(path: Path, line: int, read: Callable[[list[str]], T], fields: list[str]) -> T:
    try:
        return read(fields)
    except ValueError as error:
        raise TerminalError("bad_data", f"{path}:{line}: {error}") from error


def _rating(fields: list[str]) -> Rating:
    user_id, item_id, value, seconds = fields[:4]
    return Rating(user_id, item_id, float(value), datetime.fromtimestamp(float(seconds), UTC))


def _user(fields: list[str]) -> UserProfile:
    # The fifth column, the ZIP code, is left where it is: no prompt and no model needs it.
    return UserProfile(user_id=fields[0], fields={"age": fields[1], "gender": fields[2], "occupation": fields[3]})


def _recbole_item(fields: list[str]) -> ItemProfile:
    item_id, title, year, genres = fields[:4]
    shown = f"{title} ({year})" if year.isdigit() else title
    return _item(item_id, shown, year, genres.split())


def _grouplens_item(fields: list[str]) -> ItemProfile:
    item_id, title, released = fields[:3]
    flags = fields[5:]
    return _item(
        item_id, title, released[-4:], [name for name, flag in zip(_GENRES, flags, strict=False) if flag == "1"]
    )


def _item(item_id: str, title: str, year: str, genres: list[str]) -> ItemProfile:
    fields = {"genres": ", ".join(genres)}
    if year.isdigit():
        fields["year"] = year
    return ItemProfile(item_id=item_id, title=title, fields=fields)


def _number(identifier: str) -> tuple[int, str]:
    # Ids are numbers here: 9 before 10, as in the order in which the recorded knowledge was written.
    return (int(identifier), identifier) if identifier.isdigit() else (1 << 62, identifier)
