"""MovieLens-100K: ratings, users and films, from a local folder.

Reads the files of GroupLens (`u.data`, `u.item`, `u.user`) or of RecBole's wheel (`ml-100k.inter`, `.item`, `.user`).
The ratings may not be redistributed (research use): they are fetched at set-up and never committed.
"""

from pathlib import Path

from knowledge.base import TerminalError
from ranking.datasets.collect import Collector, number, seconds_time
from ranking.datasets.lines import fields_of
from ranking.datasets.records import Dataset, Rating

__all__ = ["MovieLens", "Rating", "load"]

MovieLens = Dataset

# In the order of u.genre.
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def load(folder: Path | str) -> MovieLens:
    """Read the data set; raises `TerminalError` (`no_data`, `bad_data`) that says what is missing or wrong."""
    root = Path(folder)
    if (root / "ml-100k.inter").exists():
        names, skip = ("ml-100k.inter", "ml-100k.item", "ml-100k.user"), 1
    elif (root / "u.data").exists():
        names, skip = ("u.data", "u.item", "u.user"), 0
    else:
        raise TerminalError(
            "no_data",
            f"no MovieLens-100K in {root}: it needs ml-100k.inter, .item and .user, or u.data, u.item, u.user",
        )
    separators = ("\t", "\t", "\t") if skip else ("\t", "|", "|")
    found = Collector()
    # GroupLens' own files are Latin-1, RecBole's are UTF-8 without anything beyond ASCII.
    for where, fields in fields_of(root / names[1], separators[1], least=4, skip=skip):
        item_id, title, year, genres = _recbole_item(fields) if skip else _grouplens_item(fields)
        found.item(where, item_id, title, film_fields(year, genres))
    for where, fields in fields_of(root / names[2], separators[2], least=4, skip=skip):
        # The fifth column, the ZIP code, is left where it is: no prompt and no model needs it.
        found.user(where, fields[0], {"age": fields[1], "gender": fields[2], "occupation": fields[3]})
    for where, fields in fields_of(root / names[0], separators[0], least=4, skip=skip):
        value = number(where, "rating", fields[2])
        found.rating(where, fields[0], fields[1], value, seconds_time(where, number(where, "time", fields[3])))
    return found.dataset()


def film_fields(year: str, genres: list[str]) -> dict[str, str]:
    """Profile fields of a film; a year that is none is left out."""
    fields = {"genres": ", ".join(genres)}
    if year.isdigit():
        fields["year"] = year
    return fields


def _recbole_item(fields: list[str]) -> tuple[str, str, str, list[str]]:
    item_id, title, year, genres = fields[:4]
    return item_id, f"{title} ({year})" if year.isdigit() else title, year, genres.split()


def _grouplens_item(fields: list[str]) -> tuple[str, str, str, list[str]]:
    item_id, title, released = fields[:3]
    genres = [name for name, flag in zip(_GENRES, fields[5:], strict=False) if flag == "1"]
    return item_id, title, released[-4:], genres
