"""Runs on several processes with one thread each; a worker that dies is replaced and its run tried once more."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from knowledge.base import TerminalError
from ranking.evaluate.plan import Job, pick

_TRIES = 2


@dataclass(frozen=True)
class Event:
    """Something happened to a run: state `fitting`, `training`, `done` (with seconds) or `failed` (with a message)."""

    state: str
    job: Job
    wall_s: float = 0.0
    message: str = ""


@dataclass(eq=False)
class _Worker:
    process: "subprocess.Popen[str]"
    job: Job | None = None
    last: Job | None = None  # its group is fitted


Heard = tuple[_Worker, dict[str, Any] | None]  # None: the worker has ended


@dataclass
class Pool:
    """Trains jobs. `setup` is each worker's first line (see `worker.py`); `code` gives a job's code version.

    `environ` is the workers' environment, `log` takes what they print. `failed` fills while it runs.
    """

    setup: Mapping[str, Any]
    code: Callable[[Job], str]
    environ: Mapping[str, str]
    log: Path
    workers: int = 1
    failed: dict[Job, str] = field(default_factory=dict)

    def run(self, jobs: Sequence[Job], tell: Callable[[Event], None]) -> None:
        """Train all; returns when each is done or has failed. Ends its workers whatever happens.

        Raises `TerminalError` (`code_changed`) if a file was edited since the start: its results would be misnamed.
        """
        pending, tries = list(jobs), dict.fromkeys(jobs, 0)
        heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        workers: list[_Worker] = []
        with self.log.open("a") as log:
            try:
                workers += [self._start(heard, log) for _ in range(min(self.workers, len(pending)))]
                while workers:
                    worker, line = heard.get()
                    if line is not None:
                        self._hear(worker, line, pending, workers, tell)
                        continue
                    workers.remove(worker)
                    code, job = _end(worker), worker.job
                    if job is None:
                        continue  # it had nothing left to do
                    tries[job] += 1
                    if tries[job] < _TRIES:
                        pending.insert(0, job)
                    else:
                        self._fail(job, f"its process ended twice, exit code {code}; see {self.log}", tell)
                    if pending:
                        workers.append(self._start(heard, log))
            finally:
                for worker in workers:
                    worker.process.kill()
                    _end(worker)

    def _start(self, heard: "queue.SimpleQueue[Heard]", log: IO[str]) -> _Worker:
        command = [sys.executable, "-m", "ranking.evaluate.worker"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=log, text=True, bufsize=1, env=dict(self.environ)
        )
        worker = _Worker(process)

        def listen() -> None:
            for line in process.stdout or ():
                heard.put((worker, json.loads(line)))
            heard.put((worker, None))

        threading.Thread(target=listen, daemon=True).start()
        _send(worker, self.setup)
        return worker

    def _hear(
        self,
        worker: _Worker,
        line: Mapping[str, Any],
        pending: list[Job],
        workers: Sequence[_Worker],
        tell: Callable[[Event], None],
    ) -> None:
        state, job = line["state"], worker.job
        if state == "refused":
            raise TerminalError("code_changed", line["message"])
        if job is not None and state == "failed":
            self._fail(job, line["message"], tell)
        elif job is not None:
            tell(Event(state, job, line.get("wall_s", 0.0)))
        if state not in ("ready", "done", "failed"):
            return
        worker.last, worker.job = job, None
        others = [other.job.group for other in workers if other is not worker and other.job is not None]
        chosen = pick(pending, None if worker.last is None else worker.last.group, others)
        if chosen is None:
            with suppress(BrokenPipeError):
                if worker.process.stdin is not None:
                    worker.process.stdin.close()
            return
        pending.remove(chosen)
        worker.job = chosen
        about = {"seed": chosen.seed, "backbone": chosen.backbone, "variant": chosen.variant, "code": self.code(chosen)}
        _send(worker, {"split": chosen.group.split, "page_blind": chosen.group.page_blind, **about})

    def _fail(self, job: Job, message: str, tell: Callable[[Event], None]) -> None:
        self.failed[job] = message
        tell(Event("failed", job, message=message))


def _end(worker: _Worker) -> int:
    code = worker.process.wait()
    for pipe in (worker.process.stdin, worker.process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was not sent yet has no reader any more
                pipe.close()
    return code


def _send(worker: _Worker, line: Mapping[str, Any]) -> None:
    # A worker that has just died is noticed by the end of its output.
    with suppress(BrokenPipeError):
        if worker.process.stdin is not None:
            worker.process.stdin.write(json.dumps(dict(line)) + "\n")
