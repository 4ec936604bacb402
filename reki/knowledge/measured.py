"""What earlier runs cost, beside the knowledge they made: the dry run's tokens and times come from here."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

_FILE = "runs.jsonl"
BYTES_PER_TOKEN = 4.0  # where nothing was measured: English prose and JSON; other scripts take more tokens


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


def note(folder: Path, run: Run) -> None:
    """Add a run that made calls; one that made none says nothing."""
    if run.calls and run.tokens_in:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / _FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(run)) + "\n")


def measured(folder: Path, model: str, purpose: str) -> Run | None:
    """The sum of the runs of that model and purpose; None where there are none."""
    found = [run for run in _runs(folder) if (run.model, run.purpose) == (model, purpose)]
    if not found:
        return None
    numbers = {field.name: sum(getattr(run, field.name) for run in found) for field in fields(Run)[2:]}
    return Run(model, purpose, **numbers)


def _runs(folder: Path) -> list[Run]:
    runs: list[Run] = []
    try:
        lines = (folder / _FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return runs
    for line in lines:
        try:
            runs.append(Run(**json.loads(line)))
        except (ValueError, TypeError):  # half a line of a killed run, or another version's: an estimate goes without
            continue
    return runs
