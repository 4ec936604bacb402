"""MovieLens-1M as GroupLens publishes it: `ratings.dat`, `movies.dat`, `users.dat`, fields separated by `::`."""

import re
from pathlib import Path

from ranking.datasets.collect import Collector, bad, number, seconds_time
from ranking.datasets.lines import fields_of
from ranking.datasets.movielens import film_fields
from ranking.datasets.records import Dataset

# The codes of its README.
_AGES = {
    **{"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44"},
    **{"45": "45-49", "50": "50-55", "56": "56 or older"},
}
_OCCUPATIONS = (
    *("other", "academic or educator", "artist", "clerical or admin", "college or grad student"),
    *("customer service", "doctor or health care", "executive or managerial", "farmer", "homemaker"),
    *("K-12 student", "lawyer", "programmer", "retired", "sales or marketing", "scientist", "self-employed"),
    *("technician or engineer", "tradesman or craftsman", "unemployed", "writer"),
)


def load(folder: Path | str) -> Dataset:
    """Read the data set; raises `TerminalError` (`no_data`, `bad_data`) that says what is missing or wrong."""
    root = Path(folder)
    found = Collector()
    for where, (item_id, title, genres, *_) in fields_of(root / "movies.dat", "::", least=3):
        found.item(where, item_id, title, film_fields(year_of(title), genres.split("|")))
    for where, (user_id, gender, age, occupation, *_) in fields_of(root / "users.dat", "::", least=4):
        if age not in _AGES or not occupation.isdecimal() or int(occupation) >= len(_OCCUPATIONS):
            raise bad(where, f"age {age!r} or occupation {occupation!r} is no code of MovieLens-1M")
        # The ZIP code is left where it is.
        fields = {"age": _AGES[age], "gender": gender, "occupation": _OCCUPATIONS[int(occupation)]}
        found.user(where, user_id, fields)
    for where, (user_id, item_id, value, seconds, *_) in fields_of(root / "ratings.dat", "::", least=4):
        at = seconds_time(where, number(where, "time", seconds))
        found.rating(where, user_id, item_id, number(where, "rating", value), at)
    return found.dataset()


def year_of(title: str) -> str:
    """The year at the end of a title, "Heat (1995)"; empty where there is none."""
    match = re.search(r"\((\d{4})\)\s*$", title)
    return match.group(1) if match else ""
