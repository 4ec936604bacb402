"""`reki evaluate contamination`."""

from pathlib import Path

from ranking.evaluate.contamination import contamination
from ranking.evaluate.contamination_report import files
from ranking.evaluate.ctr import write_files
from ranking.sources import Sources
from reki.evaluate.places import commit, places, say_written


def run(dataset: str, out: Path) -> None:
    """Compare, write the report and say its files. Raises `TerminalError` (`no_data`, `bad_data`)."""
    sources = Sources.load(places(dataset, out, quick=False, make=False).data)
    page = {"dataset": dataset, "commit": commit(), **contamination(sources)}
    say_written("contamination", write_files(out, files(page)), quick=False)
