"""MovieLens latest, latest-small, 20M, 25M and 32M: `ratings.csv` and `movies.csv`; users have no profile."""

from pathlib import Path

from ranking.datasets.collect import Collector, number, seconds_time
from ranking.datasets.lines import csv_rows
from ranking.datasets.movielens import film_fields
from ranking.datasets.movielens_1m import year_of
from ranking.datasets.records import Dataset

_NO_GENRES = "(no genres listed)"


def load(folder: Path | str) -> Dataset:
    """Read the data set; raises `TerminalError` (`no_data`, `bad_data`) that says what is missing or wrong."""
    root = Path(folder)
    found = Collector(closed_users=False)
    for where, row in csv_rows(root / "movies.csv", ("movieId", "title", "genres")):
        genres = [] if row["genres"] == _NO_GENRES else row["genres"].split("|")
        found.item(where, row["movieId"], row["title"], film_fields(year_of(row["title"]), genres))
    for where, row in csv_rows(root / "ratings.csv", ("userId", "movieId", "rating", "timestamp")):
        at = seconds_time(where, number(where, "timestamp", row["timestamp"]))
        found.rating(where, row["userId"], row["movieId"], number(where, "rating", row["rating"]), at)
    return found.dataset()
