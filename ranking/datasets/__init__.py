"""Data sets as records: each adapter is a file and a line in `ADAPTERS`."""

from importlib import import_module
from pathlib import Path

from knowledge.base import TerminalError
from ranking.datasets.records import Dataset, Rating

__all__ = ["ADAPTERS", "Dataset", "Rating", "load_dataset"]

# Name -> module with load(folder).
ADAPTERS = {
    "ml-100k": "ranking.datasets.movielens",
    "ml-1m": "ranking.datasets.movielens_1m",
    "ml-latest": "ranking.datasets.movielens_latest",
    "amazon-books": "ranking.datasets.recbole",
    "recbole": "ranking.datasets.recbole",
}


def load_dataset(name: str | Path, folder: Path | str) -> Dataset:
    """Read the data set in `folder`: `name` is one of `ADAPTERS`, or the path of a mapping file (.toml).

    Raises `TerminalError`: `no_dataset` for another name; `no_data`, `bad_data`, `bad_mapping`, `naive_time`, in one
    sentence that names file and line.
    """
    if str(name).endswith(".toml"):
        from ranking.datasets import mapping

        return mapping.load(Path(name), folder)
    if str(name) not in ADAPTERS:
        raise TerminalError(
            "no_dataset", f"there is no data set {str(name)!r}: use {', '.join(ADAPTERS)}, or a mapping file (.toml)"
        )
    found: Dataset = import_module(ADAPTERS[str(name)]).load(folder)
    return found
