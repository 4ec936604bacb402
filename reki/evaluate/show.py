"""What a person sees of an evaluation: the plan first, then how far it is and how long it still takes."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ranking.evaluate.plan import Job
from ranking.evaluate.pool import Event


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


@contextmanager
def progress(total: int) -> Iterator[Callable[[Event], None]]:
    """A bar on a terminal, else a line for each finished model; failures are always said."""
    console, begin, done = Console(), time.monotonic(), 0

    def left() -> str:
        return duration((time.monotonic() - begin) / max(done, 1) * (total - done))

    if console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("fitting", total=total)

            def show(event: Event) -> None:
                nonlocal done
                if event.state in ("done", "failed"):
                    done += 1
                if event.state == "failed":
                    bar.console.print(f"{event.job.name}: {event.message}", style="red", markup=False)
                bar.update(task, completed=done, description=f"{left()} left, {event.state} {event.job.name}")

            yield show
        return

    def say(event: Event) -> None:
        nonlocal done
        if event.state == "done":
            done += 1
            print(f"{done}/{total} {event.job.name} {event.wall_s:.0f} s, {left()} left", flush=True)
        elif event.state == "failed":
            done += 1
            print(f"{done}/{total} {event.job.name} failed: {event.message}", flush=True)

    yield say
