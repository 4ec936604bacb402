"""A worker process: reads runs from standard input, one JSON object a line, and trains them one after the other.

One thread: the steps are small. What is fitted for a group of runs is kept until a run of another group comes. When
standard input ends (whoever started it is gone, even by kill -9), the worker ends at once; a run is on disk or not.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no types

from ranking.evaluate.plan import Group, Job
from ranking.evaluate.store import Result, ResultStore, SampleTable
from ranking.evaluate.version import code_version


def main() -> int:
    """Entry point: `python -m ranking.evaluate.worker`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the starter's to handle
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(waiting,), daemon=True).start()
    with threadpool_limits(1):
        _work(waiting, answers)
    return 0


def _listen(waiting: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        waiting.put(json.loads(line))
    os._exit(0)


def _work(waiting: "queue.SimpleQueue[dict[str, Any]]", answers: TextIO) -> None:
    setup = waiting.get()
    # Before the import: what is hashed is what runs.
    versions = {backbone: code_version(modules) for backbone, modules in setup["modules"].items()}
    module, _, name = setup["models"].partition(":")
    made: Any = import_module(module)
    made = getattr(made, name) if name else made
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    store = ResultStore(Path(setup["out"]), setup["dataset"], setup["data_version"])
    fitted: tuple[Group, Any] | None = None

    def say(**line: Any) -> None:  # noqa: ANN401 - whatever JSON can say
        answers.write(json.dumps(line) + "\n")

    if versions != setup["versions"]:
        say(state="refused", message="the code was edited since the evaluation began: start it again")
        return
    say(state="ready")
    while True:
        order = waiting.get()
        job = Job(Group(order["split"], order["page_blind"]), order["seed"], order["backbone"], order["variant"])
        begin = time.monotonic()
        try:
            if fitted is None or fitted[0] != job.group:
                fitted = None  # free the memory before the next is built
                say(state="fitting", job=job.name)
                fitted = job.group, made.build_fold(*map(Path, setup["folders"]), job.fold, job.group.page_blind)
                store.write_samples(_table(fitted[1]))
                begin = time.monotonic()
            say(state="training", job=job.name)
            run = made.train_variant(fitted[1], job.backbone, job.variant, job.seed, page_blind=job.group.page_blind)
            wall = time.monotonic() - begin
            store.write(order["code"], job.name, _result(run, wall, order))
        except Exception as error:
            traceback.print_exc()
            say(state="failed", job=job.name, message=f"{type(error).__name__}: {error}")
        else:
            say(state="done", job=job.name, wall_s=wall)


def _table(material: Any) -> SampleTable:  # noqa: ANN401 - `FoldMaterial`, or a test's stand-in
    return SampleTable(np.asarray(material.user), np.asarray(material.label), np.asarray(material.item))


def _result(run: Any, wall: float, order: dict[str, Any]) -> Result:  # noqa: ANN401 - `Predictions`
    valid, test = (np.asarray(values, dtype=np.float32) for values in (run.valid, run.test))
    if not (np.isfinite(valid).all() and np.isfinite(test).all()):
        raise ValueError("a prediction is not a finite number")
    about = {"epochs": run.epochs, "cpu_s": run.cpu_s, "wall_s": wall, **order}
    return Result(valid, test, np.asarray(run.valid_numbers), np.asarray(run.test_numbers), about)


if __name__ == "__main__":
    sys.exit(main())
