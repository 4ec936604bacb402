"""Names with commas between, as the command line says them."""

from collections.abc import Sequence

from knowledge.base import TerminalError


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
