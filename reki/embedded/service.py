"""What a local service is, and how one is run on its own (tests); `reki.stack` runs several under supervisor."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from knowledge.base import TransientError

GUARD = Path(__file__).with_name("guard.py")
_PROBE_PAUSE_S = 0.1


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Service:
    """A process with a way to see that it is ready.

    `prepare` runs once before every start (folders, configuration, formatting). `probe` answers at once and
    raises nothing. `ready_s` is how long a start may take on a slow, busy machine; `stop_s` how long the process
    may take to end after SIGTERM before it is killed.
    """

    name: str
    command: tuple[str, ...]
    probe: Callable[[], bool]
    prepare: Callable[[], None] = _nothing
    environment: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    ready_s: float = 90.0
    stop_s: float = 10.0

    def guarded(self) -> list[str]:
        """The command, ending with the process that starts it."""
        return [sys.executable, "-I", "-S", str(GUARD), *self.command]


def last_line(log: Path) -> str:
    """The last line of `log` that is not blank, shortened; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    return next((line[:300] for line in reversed(lines) if line), "")


def wait_ready(service: Service, exit_code: Callable[[], int | None], log: Path) -> float:
    """Wait for the probe; returns the seconds it took.

    Raises `TransientError` (`service_died`, `service_not_ready`) with the last line of the log.
    """
    start = time.monotonic()
    while not service.probe():
        code = exit_code()
        if code is not None:
            raise TransientError(
                "service_died", f"{service.name} ended with exit code {code}: {last_line(log)} (log: {log})"
            )
        if time.monotonic() - start > service.ready_s:
            raise TransientError(
                "service_not_ready",
                f"{service.name} was not ready after {service.ready_s:.0f} s: {last_line(log)} (log: {log})",
            )
        time.sleep(_PROBE_PAUSE_S)
    return time.monotonic() - start


def stop(process: subprocess.Popen[bytes], stop_s: float) -> int:
    """End a process that we started, gently first; returns its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(stop_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


@contextmanager
def running(service: Service, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `service`, ready, for as long as the block lasts; its output goes to `log`.

    Call it from a thread that outlives the block: the service ends with the thread that started it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    service.prepare()
    # Its own standard streams: a child that keeps ours open hangs whoever waits for the end of our output.
    with log.open("ab") as output:
        process = subprocess.Popen(
            service.guarded(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **service.environment},
            start_new_session=True,  # Ctrl-C at the terminal is ours to handle, not the service's
        )
    try:
        wait_ready(service, process.poll, log)
        yield process
    finally:
        stop(process, service.stop_s)
