"""`reki evaluate publish`: docs/results.md from the reports of an output folder, and what it was made from."""

from pathlib import Path

from knowledge.base import TerminalError
from ranking.evaluate.ctr import write_files
from reki.evaluate.places import QUICK

# Parts of the page in order, NAME.md with plots NAME-*.svg; those that are not there are left out.
PARTS = ("ctr", "rerank", "freshness", "ablations", "robust", "contamination")
_HEAD = """# Results

Written by `reki evaluate publish`; do not edit. The numbers behind it are in [results/](results/).
"""


def publish(out: Path, docs: Path) -> list[Path]:
    """Write results.md and results/ into `docs`; returns the files.

    `results/log.md`, written by hand (what was tried), is put at the end. Raises `TerminalError` (`no_results`).
    """
    page, files = [_HEAD], {}
    for name in PARTS:
        if not (out / f"{name}.md").exists():
            continue
        page.append((out / f"{name}.md").read_text())
        if page[-1].startswith(QUICK):
            raise TerminalError("no_results", f"{out / name}.md is of a quick run, which proves nothing")
        for picture in sorted(out.glob(f"{name}-*.svg")):
            page.append(f"![{picture.stem}](results/{picture.name})\n")
            files[picture.name] = picture.read_text()
        for numbers in sorted(out.glob(f"{name}*.json")):
            files[numbers.name] = numbers.read_text()
    if not files:
        raise TerminalError("no_results", f"no report in {out}: `reki evaluate ctr` writes one")
    log = docs / "results" / "log.md"
    if log.exists():
        page.append(log.read_text())
    return [*write_files(docs, {"results.md": "\n".join(page)}), *write_files(docs / "results", files)]
