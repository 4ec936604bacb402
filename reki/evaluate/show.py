"""What a person sees of an evaluation: the plan first, then how far it is and how long it still takes."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ranking.evaluate.plan import Group, Job, seconds_left
from ranking.evaluate.pool import Event

Seen = Mapping[tuple[str, str], Sequence[float]]


def duration(seconds: float) -> str:
    """For people: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def processes(workers: int) -> int:
    """As many as named, or one a core."""
    return workers or len(os.sched_getaffinity(0))


def plan_lines(dataset: str, jobs: Sequence[Job], pending: Sequence[Job], cpus: int, seconds: float) -> list[str]:
    """What there is to do."""
    lines = [f"{dataset}: {len(jobs)} models, {len(jobs) - len(pending)} there already, {len(pending)} to train"]
    groups = Counter((job.group.split, job.group.page_blind) for job in pending)
    for (split, blind), count in groups.items():
        name = f"fold {split}" if split.isdigit() else f"split {split}"
        lines.append(f"  {name}{', page-blind' if blind else ''}: {count}")
    if pending:
        lines.append(f"about {duration(seconds)} with {cpus} process{'es' if cpus > 1 else ''} of one thread each")
    return lines


class _Left:
    """How long it still takes: training from what finished runs took, fitting from the groups fitted so far."""

    def __init__(self, pending: Sequence[Job], cpus: int, seen: Seen) -> None:
        self._pending, self._cpus, self._begun = list(pending), cpus, dict[Job, float]()
        self._seen = {kind: list(seconds) for kind, seconds in seen.items()}
        self._fits: list[float] = []
        self._fitted: set[Group] = set()

    def hear(self, event: Event) -> None:
        if event.state == "fitting":
            self._begun[event.job] = time.monotonic()
        elif event.state == "training" and event.job in self._begun:
            self._fits.append(time.monotonic() - self._begun.pop(event.job))
            self._fitted.add(event.job.group)
        elif event.state in ("done", "failed"):
            self._pending.remove(event.job)
        if event.state == "done":
            self._seen.setdefault((event.job.backbone, event.job.variant), []).append(event.wall_s)

    def __str__(self) -> str:
        groups = {job.group for job in self._pending} - self._fitted
        fitting = len(groups) * sum(self._fits) / max(len(self._fits), 1) / self._cpus
        return duration(seconds_left(self._pending, self._seen, self._cpus) + fitting)


@contextmanager
def progress(pending: Sequence[Job], cpus: int, seen: Seen) -> Iterator[Callable[[Event], None]]:
    """A bar on a terminal, else a line for each finished model; failures are always said.

    `seen`: seconds of earlier runs, by (backbone, variant).
    """
    console, left, total, done = Console(), _Left(pending, cpus, seen), len(pending), 0
    if console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("starting", total=total)

            def show(event: Event) -> None:
                left.hear(event)
                if event.state == "failed":
                    bar.console.print(f"{event.job.name}: {event.message}", style="red", markup=False)
                ended = event.state in ("done", "failed")
                bar.update(task, advance=ended, description=f"{left} left, {event.state} {event.job.name}")

            yield show
        return

    def say(event: Event) -> None:
        nonlocal done
        left.hear(event)
        done += event.state in ("done", "failed")
        if event.state == "done":
            print(f"{done}/{total} {event.job.name} {event.wall_s:.0f} s, {left} left", flush=True)
        elif event.state == "failed":
            print(f"{done}/{total} {event.job.name} failed: {event.message}", flush=True)

    yield say
