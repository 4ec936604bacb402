"""What a bulk run shows while it works: a live bar in a terminal, else a line now and then."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_EVERY_S = 10.0


class Show(Protocol):
    """Progress of a run."""

    def __call__(self, done: int, tokens_out: int, note: str = "") -> None:
        """`done` subjects are behind us; `tokens_out` were generated for them in this run."""
        ...


@contextmanager
def showing(console: Console, title: str, total: int) -> Iterator[Show]:
    """Show a run of `total` subjects."""
    began = time.monotonic()

    def rate(tokens_out: int) -> str:
        return f"{tokens_out / max(time.monotonic() - began, 1e-3):.0f} tokens/s"

    if console.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[rate]}[/], left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(escape(title), total=total, rate="", note="")

            def live(done: int, tokens_out: int, note: str = "") -> None:
                progress.update(task, completed=done, rate=rate(tokens_out), note=escape(note))

            yield live
        return
    last = began

    def plain(done: int, tokens_out: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _EVERY_S:
            last = now
            left = (total - done) * (now - began) / max(done, 1)
            text = f"{title}: {done} of {total}, {rate(tokens_out)}, about {left:.0f} s left"
            console.print(escape(f"{text}  {note}".rstrip()), soft_wrap=True)

    yield plain
