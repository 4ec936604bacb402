"""What a person sees of an evaluation: the plan first, then how far it is and how long it still takes."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ranking.evaluate.plan import Group, Job, guessed, seconds_left
from ranking.evaluate.pool import Event
from ranking.evaluate.runs import Runs

Seen = Mapping[tuple[str, str], Sequence[float]]


def duration(seconds: float) -> str:
    """For people: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def processes(workers: int) -> int:
    """As many as named, or one a core, and never more: each has one busy thread, and holds a fold in memory."""
    cores = len(os.sched_getaffinity(0))
    return min(workers or cores, cores)


def about(seconds: float, guess: str, more: str = "") -> str:
    """A time with what is to be said of it: `guess` as `plan.guessed`, `more` follows the time."""
    said = {"a guess": "no run of these has finished yet", "partly a guess": "no run of some of these has finished yet"}
    note = f" ({guess}: {said[guess]}; building folds not counted)" if guess else ""
    return f"about {duration(seconds)}{more}{note}"


def group_name(group: Group) -> str:
    """For people: fold 3, page-blind."""
    name = f"fold {group.split}" if group.split.isdigit() else f"split {group.split}"
    return f"{name}{', page-blind' if group.page_blind else ''}"


def plan_lines(runs: Runs, cpus: int) -> list[str]:
    """What there is to do."""
    jobs, pending = runs.jobs, runs.pending()
    lines = [f"{runs.dataset}: {len(jobs)} models, {len(jobs) - len(pending)} there already, {len(pending)} to train"]
    groups = Counter(job.group for job in pending)
    lines += [f"  {group_name(group)}: {count}" for group, count in groups.items()]
    if pending:
        using = f" with {cpus} process{'es' if cpus > 1 else ''} of one thread each"
        seconds = seconds_left(pending, runs.expected(), cpus)
        lines.append(about(seconds, guessed(pending, runs.seen()), using))
    return lines


class Left:
    """How long it still takes: training from what finished runs took, fitting from the groups fitted so far.

    `finished`: kinds, (backbone, variant), whose seconds in `expected` were measured.
    """

    def __init__(self, pending: Sequence[Job], cpus: int, expected: Seen, finished: Iterable[tuple[str, str]]) -> None:
        self._pending, self._cpus, self._begun = list(pending), cpus, dict[Job, float]()
        self._expected = {kind: list(seconds) for kind, seconds in expected.items()}
        self._finished = set(finished)
        self._fits: list[float] = []
        self._fitted: set[Group] = set()

    def hear(self, event: Event) -> None:
        """Learn from what happened."""
        kind = event.job.backbone, event.job.variant
        if event.state == "fitting":
            self._begun[event.job] = time.monotonic()
        elif event.state == "training" and event.job in self._begun:
            self._fits.append(time.monotonic() - self._begun.pop(event.job))
            self._fitted.add(event.job.group)
        elif event.state in ("done", "failed"):
            self._pending.remove(event.job)
        if event.state == "done":
            if kind not in self._finished:
                self._expected[kind] = []  # it was guessed
            self._finished.add(kind)
            self._expected[kind].append(event.wall_s)

    def __str__(self) -> str:
        guess = guessed(self._pending, self._finished)
        if guess == "a guess":
            return "time left not known yet"
        groups = {job.group for job in self._pending} - self._fitted
        fitting = len(groups) * sum(self._fits) / max(len(self._fits), 1) / self._cpus
        left = duration(seconds_left(self._pending, self._expected, self._cpus) + fitting)
        return f"{left} left{', ' * bool(guess)}{guess}"


@contextmanager
def progress(runs: Runs, cpus: int) -> Iterator[Callable[[Event], None]]:
    """A bar on a terminal, else a line for each finished model; failures are always said."""
    pending = runs.pending()
    left, console, total, done = Left(pending, cpus, runs.expected(), runs.seen()), Console(), len(pending), 0
    if console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("starting", total=total)

            def show(event: Event) -> None:
                left.hear(event)
                if event.state == "failed":
                    bar.console.print(f"{event.job.name}: {event.message}", style="red", markup=False)
                ended = event.state in ("done", "failed")
                bar.update(task, advance=ended, description=f"{left}; {event.state} {event.job.name}")

            yield show
        return

    building: set[Group] = set()

    def say(event: Event) -> None:
        nonlocal done
        left.hear(event)
        if event.state == "fitting" and event.job.group not in building:
            building.add(event.job.group)
            print(f"building the inputs of {group_name(event.job.group)} (minutes where they are not kept)", flush=True)
        done += event.state in ("done", "failed")
        if event.state == "done":
            print(f"{done}/{total} {event.job.name} {event.wall_s:.0f} s; {left}", flush=True)
        elif event.state == "failed":
            print(f"{done}/{total} {event.job.name} failed: {event.message}", flush=True)

    yield say
