"""What earlier runs cost, beside the knowledge they made: the dry run's tokens and times come from here."""

import json
import logging
import math
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

_FILE = "runs.jsonl"
BYTES_PER_TOKEN = 4.0  # where nothing was measured: English prose and JSON; other scripts take more tokens
_MOST = 2**53

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One run's calls of one purpose (`user`, `item`, `cluster`). Tokens as the server counted them."""

    model: str
    purpose: str
    calls: int
    prompt_bytes: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    seconds: float

    def __post_init__(self) -> None:
        """Raises `ValueError` for figures that nothing can be reckoned from: a line that somebody edited."""
        counts = (self.calls, self.prompt_bytes, self.tokens_in, self.tokens_cached, self.tokens_out)
        if not (isinstance(self.model, str) and isinstance(self.purpose, str)):
            raise ValueError("model and purpose are words")
        if any(type(count) is not int or not 0 <= count <= _MOST for count in counts):
            raise ValueError("counts are whole numbers")
        if not (self.calls and self.prompt_bytes and self.tokens_in):
            raise ValueError("a run without calls says nothing")
        if type(self.seconds) not in (int, float) or not (0 <= self.seconds <= _MOST and math.isfinite(self.seconds)):
            raise ValueError("seconds are a number")


def note(folder: Path, run: Run) -> None:
    """Add a run, for its owner only. Where it cannot be written, later estimates go without it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(folder / _FILE, "a", encoding="utf-8", opener=_private) as file:
            file.write(json.dumps(asdict(run)) + "\n")
    except OSError as error:
        log.warning("what the run cost cannot be noted for later dry runs: %s", error)


def measured(folder: Path, model: str, purpose: str) -> Run | None:
    """The sum of the runs of that model and purpose; None where there are none."""
    found = [run for run in _runs(folder) if (run.model, run.purpose) == (model, purpose)]
    if not found:
        return None
    numbers = {field.name: min(_MOST, sum(getattr(run, field.name) for run in found)) for field in fields(Run)[2:]}
    return Run(model, purpose, **numbers)


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _runs(folder: Path) -> list[Run]:
    runs: list[Run] = []
    try:
        lines = (folder / _FILE).read_bytes().splitlines()
    except OSError:
        return runs
    for line in lines:
        try:
            runs.append(Run(**json.loads(line)))
        except (ValueError, TypeError, RecursionError):  # of a killed run, another version, or somebody's editor
            continue
    return runs


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
