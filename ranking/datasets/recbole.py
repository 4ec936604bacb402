"""Any data set in RecBole's atomic files: `<name>.inter`, `<name>.item`, and `<name>.user` where there is one.

Amazon-Books comes so. The first line names and types the columns (`user_id:token<TAB>rating:float`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from knowledge.base import TerminalError
from ranking.datasets.collect import Collector, bad, number, seconds_time
from ranking.datasets.lines import check_columns, fields_of
from ranking.datasets.records import Dataset

_TITLES = ("title", "movie_title", "name")


def load(folder: Path | str) -> Dataset:
    """Read the data set of the one `.inter` file in `folder`.

    An item that the `.item` file lacks (Amazon knows no title of some) has an empty title. Raises `TerminalError`
    (`no_data`, `bad_data`) that says what is missing or wrong.
    """
    root = Path(folder)
    names = sorted(root.glob("*.inter"))
    if len(names) != 1:
        raise TerminalError("no_data", f"{root} needs one file *.inter, and has {len(names)}")
    events = names[0]
    found = Collector(closed_users=False, closed_items=False)
    for where, row in _rows(events.with_suffix(".item"), ("item_id",)):
        title = next((row[name] for name in _TITLES if name in row), None)
        if title is None:
            raise bad(where, f"no column of a title: one of {', '.join(_TITLES)}")
        fields = {name: value for name, value in row.items() if name not in ("item_id", *_TITLES) and value}
        found.item(where, row["item_id"], title, fields)
    people = events.with_suffix(".user")
    if people.exists():
        for where, row in _rows(people, ("user_id",)):
            fields = {name: value for name, value in row.items() if name != "user_id" and value}
            found.user(where, row["user_id"], fields)
    for where, row in _rows(events, ("user_id", "item_id", "rating", "timestamp")):
        at = seconds_time(where, number(where, "timestamp", row["timestamp"]))
        found.rating(where, row["user_id"], row["item_id"], number(where, "rating", row["rating"]), at)
    return found.dataset()


def _rows(path: Path, needed: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    lines = fields_of(path, "\t", least=1, encoding="utf-8")
    _, head = next(lines, ("", []))
    names = [name.split(":")[0] for name in head]
    check_columns(path, names, needed)
    for where, fields in lines:
        if len(fields) != len(names):
            raise bad(where, f"{len(fields)} columns where {len(names)} are named in the first line")
        yield where, dict(zip(names, fields, strict=True))
