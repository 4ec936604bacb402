"""What the demo prints: a live screen in a terminal, one plain line per stage elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table


class Ticker(Protocol):
    """Progress of one stage."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """`done` of `total` steps are behind us; `note` says what is going on."""
        ...


class Screen:
    """Prints stages, tables and plain lines to one console. Titles are untrusted text and are escaped."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=False)
        if not self.console.is_terminal:
            self.console = Console(file=self.console.file, width=120, highlight=False, force_terminal=False)
        self.started = time.monotonic()

    @contextmanager
    def stage(self, title: str) -> Iterator[Ticker]:
        """One stage: a progress bar while it runs, one line with its time when it is done."""
        begun = time.monotonic()
        notes: list[str] = []
        if self.console.is_terminal:
            with Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[note]}"),
                console=self.console,
                transient=True,
            ) as progress:
                task = progress.add_task(escape(title), total=None, note="")

                def tick(done: int, total: int, note: str = "") -> None:
                    notes[:] = [note] if note else notes
                    progress.update(task, completed=done, total=total or None, note=escape(note))

                yield tick
        else:

            def quiet(done: int, total: int, note: str = "") -> None:
                notes[:] = [note] if note else notes

            yield quiet
        note = f"  {notes[0]}" if notes else ""
        took = f"{time.monotonic() - begun:.1f} s"
        self.console.print(f"[green]✓[/] {escape(title)}[dim]{escape(note)}  {took}[/]", soft_wrap=True)

    def line(self, text: str, style: str = "") -> None:
        """One plain line."""
        # Not wrapped here: many a line is a command to copy.
        self.console.print(escape(text), style=style or None, soft_wrap=True)

    def heading(self, text: str) -> None:
        """The title of a part."""
        self.console.print()
        self.console.rule(f"[bold]{escape(text)}", align="left", characters="─")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
        """A small table; every cell is plain text."""
        table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, caption=escape(note) or None)
        table.caption_justify = "left"
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self.console.print(table)
