"""Where an evaluation finds its data, keeps what it computed, and what its workers see of the environment."""

import csv
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from knowledge.base import TerminalError
from ranking.datasets.movielens import load
from ranking.evaluate.runs import Places, Runs
from ranking.evaluate.store import only_one
from reki.evaluate.stale import remove_stale
from reki.paths import ROOT, cache_dir
from reki.settings import load_settings

DATASETS = {"ml-100k": "recbole/recbole/dataset_example/ml-100k"}
_SUFFIXES = (".inter", ".item", ".user")  # of RecBole's files, which bear the folder's name
_QUICK_USERS, _QUICK_RATINGS = 40, 60  # so many users with the fewest ratings from that many on


def places(dataset: str, out: Path, quick: bool, make: bool = True) -> Places:
    """Makes nothing but the small data set of a quick run, and without `make` not even that.

    Raises `TerminalError`: `no_data` for an unknown data set, or one that set-up has not fetched; `bad_data` (with
    `make`) for one that cannot be read; `bad_option` if `out` is no folder.
    """
    if dataset not in DATASETS:
        raise TerminalError("no_data", f"no data set {dataset!r}: there is {', '.join(DATASETS)}")
    folder = cache_dir() / DATASETS[dataset]
    if not folder.is_dir():
        raise TerminalError("no_data", f"{folder} is missing: `sh scripts/setup` fetches it")
    if out.exists() and not out.is_dir():
        raise TerminalError("bad_option", f"{out} is a file: --out names a folder")
    missing = [f"{folder.name}{suffix}" for suffix in _SUFFIXES if not (folder / f"{folder.name}{suffix}").is_file()]
    if missing:
        raise TerminalError(
            "no_data", f"{folder} lacks {', '.join(missing)}: delete it, and `sh scripts/setup` fetches it"
        )
    if make:
        load(folder)  # what is wrong with it is said here once, not by every process
    # A folder of its own in `out`: a quick report must not take the place of a real one.
    out = out / "quick" if quick else out
    data = out / "data" / folder.name if quick else folder
    if quick and make:
        _few_users(folder, data)
    cache = out / "folds" if quick else cache_dir() / "folds"
    return Places(data, load_settings().encoders.encodings_dir, cache, out)


@contextmanager
def held(out: Path, train: bool, write: bool) -> Iterator[None]:
    """Hold the folder of results, as `only_one`; a plan neither makes it nor waits for whoever has it.

    Raises `TerminalError`: `busy`, and `no_results` for a report of a folder that is not there.
    """
    if not (train or write):
        yield
        return
    if not train and not out.is_dir():
        raise TerminalError("no_results", f"there is no folder {out} to report")
    with only_one(out):
        yield


QUICK = "**A quick run on a few users: it shows that the command runs, and proves nothing.**"


def nothing_yet(runs: Sequence[Runs], out: Path) -> None:
    """Raises `TerminalError` (`no_results`) where not one result is there: an empty report replaces no other."""
    if all(len(one.pending()) == len(one.jobs) for one in runs):
        raise TerminalError("no_results", f"nothing was evaluated in {out} yet, by this code on this data")


def say_written(part: str, files: list[Path], quick: bool) -> None:
    """What is done to every report that was written: a quick one is marked, plots of an earlier one go."""
    for path in mark_quick(files, quick):
        print(path)
    for path in remove_stale(files[0].parent, [part], files):
        print(f"{path} removed: of an earlier report")


def mark_quick(files: list[Path], quick: bool) -> list[Path]:
    """Say at the top of reports that they are of a quick run, which `publish` refuses; returns the files."""
    for page in files if quick else []:
        if page.suffix == ".md":
            page.write_text(f"{QUICK}\n\n{page.read_text()}")
    return files


def environment() -> dict[str, str]:
    """For workers: one thread each, and nothing fetched from anywhere."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "HF_HUB_OFFLINE": "1"}


def commit() -> str:
    """The commit that is checked out, with "+changed" where tracked files differ from it; "unknown" without git."""
    try:
        made = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+changed"],  # noqa: S607 - git from PATH
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return made.stdout.strip()


def _few_users(folder: Path, small: Path) -> None:
    """A data set of few users, made from the first columns of the whole one's ratings.

    Raises `TerminalError` (`bad_data`) if nobody rated enough. Each file is put in place whole, and
    drafted elsewhere: another quick run may be reading and hashing the folder.
    """
    names = [folder / f"{folder.name}{suffix}" for suffix in _SUFFIXES]
    ratings = names[0]
    with ratings.open(newline="", encoding="latin-1") as file:
        head, *rows = [row for row in csv.reader(file, delimiter="\t") if row]
    counts: dict[str, int] = {}
    for row in rows:
        counts[row[0]] = counts.get(row[0], 0) + 1
    enough = sorted((count, user) for user, count in counts.items() if count >= _QUICK_RATINGS)
    if not enough:
        raise TerminalError("bad_data", f"nobody in {ratings} rated {_QUICK_RATINGS} items: --quick needs some")
    users = {user for _, user in enough[:_QUICK_USERS]}
    small.mkdir(parents=True, exist_ok=True)
    for path in names:
        text = path.read_text(encoding="latin-1")
        if path == ratings:
            text = "\n".join("\t".join(row) for row in [head, *(row for row in rows if row[0] in users)]) + "\n"
        draft = small.parent / f".{path.name}.{os.getpid()}"
        draft.write_text(text, encoding="latin-1")
        draft.replace(small / path.name)
