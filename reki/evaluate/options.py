"""Names with commas between, as the command line says them."""

from collections.abc import Sequence

from knowledge.base import TerminalError
from ranking.evaluate.runs import Runs


def known(what: str, said: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names that were said, each once; raises `TerminalError` (`bad_option`) for one that there is not."""
    chosen = listed(said)
    if not chosen:
        raise TerminalError("bad_option", f"no {what} was named: there are {', '.join(names)}")
    strange = [name for name in chosen if name not in names]
    if strange:
        raise TerminalError("bad_option", f"no {what} {strange[0]!r}: there are {', '.join(names)}")
    return chosen


def every(what: str, said: str, names: Sequence[str]) -> tuple[str, ...]:
    """As `known`, where "all" stands for all names."""
    return tuple(names) if said.strip() == "all" else known(what, said, names)


def listed(said: str) -> tuple[str, ...]:
    """Split at commas."""
    return tuple(dict.fromkeys(name.strip() for name in said.split(",") if name.strip()))


def stand_ins(parts: Sequence[Runs]) -> None:
    """Raises `TerminalError` (`bad_option`) where `--reuse` named a code version of which no results are there."""
    folders = [one.store.folder for one in parts]
    there = sorted({path.name for folder in folders if folder.is_dir() for path in folder.glob("*/")})
    strange = [name for one in parts for name in one.reuse if name not in there]
    if strange:
        folder = ", ".join(sorted({str(folder) for folder in folders}))
        found = f"there are {', '.join(there)}" if there else "there are none"
        raise TerminalError("bad_option", f"--reuse {strange[0]}: no results of this code in {folder}: {found}")
