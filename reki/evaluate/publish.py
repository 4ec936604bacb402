"""`reki evaluate publish`: docs/results.md from the reports of an output folder, and what it was made from."""

from collections.abc import Iterable
from pathlib import Path

from knowledge.base import TerminalError
from ranking.evaluate.ctr import write_files
from reki.evaluate.places import QUICK
from reki.evaluate.stale import PARTS, ours, remove_stale

_HEAD = """# Results

Written by `reki evaluate publish`; do not edit. The numbers behind it are in [results/](results/). What the names of
variants mean, what a sample is, and how it was compared: [evaluation.md](evaluation.md).
"""


def publish(out: Path, docs: Path) -> tuple[list[Path], list[Path]]:
    """Write results.md and results/ into `docs`; returns the files, and those of earlier times that it removed.

    Removed is what bears a name that this command writes (`stale.ours`) and is not of this publication.
    `results/log.md`, written by hand (what was found, what falls short), is put first.
    Raises `TerminalError`: `no_results`, `bad_result`.
    """
    page: list[str] = []
    files: dict[str, str] = {}
    for name in PARTS:
        if not (out / f"{name}.md").exists():
            continue
        page.append(_text(out / f"{name}.md"))
        if page[-1].startswith(QUICK):
            raise TerminalError("no_results", f"{out / name}.md is of a quick run, which proves nothing")
        own = [path for path in sorted(out.iterdir()) if ours(path.name, [name])]
        page += [f"![{path.stem}](results/{path.name})\n" for path in own if path.suffix == ".svg"]
        files |= {path.name: _text(path) for path in own}
    if not files:
        raise TerminalError("no_results", f"no report in {out}: `reki evaluate ctr` writes one")
    log = docs / "results" / "log.md"
    if log.exists():
        page.insert(0, _text(log))
    written = [
        *write_files(docs, {"results.md": "\n".join([_HEAD, _contents(page), *page])}),
        *write_files(docs / "results", files),
    ]
    return written, remove_stale(docs / "results", PARTS, written)


def _contents(page: Iterable[str]) -> str:
    """Links to the sections of the page."""
    lines = (line for text in page for line in text.splitlines())
    titles = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    return "\n".join(f"* [{title}](#{_anchor(title)})" for title in titles) + "\n"


def _anchor(title: str) -> str:
    kept = "".join(sign for sign in title.lower() if sign.isalnum() or sign in " -_")
    return kept.replace(" ", "-")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError as error:
        raise TerminalError(
            "bad_result", f"{path} is damaged ({error.reason}): the command that made it writes it anew with --report"
        ) from error
