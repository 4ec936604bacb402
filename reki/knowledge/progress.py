"""What a bulk run shows while it works: a live bar in a terminal, else a line now and then, and what it waits for."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from reki.knowledge.measured import duration

_EVERY_S = 10.0
_LOOK_EVERY_S = 0.5


class Show(Protocol):
    """Progress of a run."""

    def __call__(self, done: int, tokens_out: int) -> None:
        """`done` subjects are behind us; `tokens_out` were generated for them in this run."""
        ...

    def waiting(self, trouble: str) -> None:
        """Time has passed; `trouble` is why no answer comes, in words, or empty."""
        ...


class _State:
    """What both kinds of display know."""

    def __init__(self, total: int) -> None:
        self.began = time.monotonic()
        self.total = total
        self.done = self.tokens_out = 0

    def speed(self) -> str:
        """Tokens a second, and the time that is left; nothing before there is an answer."""
        passed = max(time.monotonic() - self.began, 1e-3)
        if not self.done:
            return "no answer yet"
        left = f"about {duration((self.total - self.done) * passed / self.done)} left"
        return f"{self.tokens_out / passed:.0f} tokens/s, {left}" if self.tokens_out else left


class _Bar(_State):
    def __init__(self, progress: Progress, title: str, total: int) -> None:
        super().__init__(total)
        self._progress = progress
        self._task = progress.add_task(escape(title), total=total, speed="", trouble="")

    def __call__(self, done: int, tokens_out: int) -> None:
        self.done, self.tokens_out = done, tokens_out
        self._progress.update(self._task, completed=done)
        self.waiting("")

    def waiting(self, trouble: str) -> None:
        self._progress.update(self._task, speed=self.speed(), trouble=escape(trouble))


class _Lines(_State):
    def __init__(self, console: Console, title: str, total: int) -> None:
        super().__init__(total)
        self._console, self._title = console, title
        self._said_at, self._trouble = self.began, ""

    def __call__(self, done: int, tokens_out: int) -> None:
        self.done, self.tokens_out = done, tokens_out
        self.waiting("")

    def waiting(self, trouble: str) -> None:
        now = time.monotonic()
        # The first trouble is told at once; another wording of it, with everything else, now and then.
        if now - self._said_at < _EVERY_S and not (trouble and not self._trouble):
            return
        self._said_at, self._trouble = now, trouble
        text = trouble or f"{self._title}: {self.done:,} of {self.total:,}, {self.speed()}"
        self._console.print(text, soft_wrap=True, markup=False)


@contextmanager
def showing(console: Console, title: str, total: int) -> Iterator[Show]:
    """Show a run of `total` subjects."""
    if not console.is_terminal:
        yield _Lines(console, title, total)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[speed]}[/]"),
        TextColumn("[yellow]{task.fields[trouble]}[/]"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress, title, total)


@asynccontextmanager
async def watching(show: Show, trouble: Callable[[], str]) -> AsyncIterator[None]:
    """Tell `show` twice a second that time passes, and what is waited for."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            show.waiting(trouble())

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
