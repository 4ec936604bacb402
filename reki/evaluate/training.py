"""What both evaluations do: say the plan, train what is missing, say what failed."""

import sys
from collections.abc import Sequence

from ranking.evaluate.plan import Job
from ranking.evaluate.runs import Runs
from reki.evaluate import show
from reki.evaluate.places import environment


def train_all(parts: Sequence[Runs], workers: int, train: bool) -> int:
    """Returns the exit code: 1 if a model failed, 130 after Ctrl-C; with `train` false only the plan is said."""
    cpus = show.processes(workers)
    if workers > cpus:
        print(f"--workers {workers}: {cpus} of them, one a core; more would take memory and save no time")
    for runs in parts:
        print("\n".join(show.plan_lines(runs, cpus)), flush=True)
    failed: dict[Job, str] = {}
    for runs in parts:
        if not train or not runs.pending():
            continue
        try:
            with show.progress(runs, cpus) as tell:
                failed |= runs.train(cpus, environment(), tell)
        except KeyboardInterrupt:
            print("\ninterrupted; run it again, it goes on from here", file=sys.stderr)
            return 130
    for job, message in failed.items():
        print(f"reki: {job.name} failed: {message}", file=sys.stderr)
    return 1 if failed else 0
