"""Find the processes of a stack, whoever started them and whether or not their supervisor still lives.

Every process of a stack carries its run folder in the environment, and children inherit it. Unlike a number in a
file this can name no stranger: numbers are used again, and a process can be killed before it is written down.
"""

import os
import signal
import time
from pathlib import Path

MARK = "REKI_STACK_RUN"


def marked(run_dir: Path) -> list[int]:
    """Pids of the living processes of the stack with this run folder (our own user's only)."""
    wanted = f"{MARK}={run_dir}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0") and _state(entry) not in "ZX":
                found.append(int(entry.name))
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found


def _state(entry: Path) -> str:
    # After the last bracket: a command's name may contain some itself.
    return (entry / "stat").read_text().rpartition(")")[2].split()[0]


def started_at(pid: int) -> int | None:
    """The kernel's start time of a living process (in ticks since boot): with the pid it names one for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] not in "ZX" else None


def end(pids: list[int], patience_s: float) -> None:
    """Ask processes of ours to end, and kill those that have not after `patience_s`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            _signal(pid, number)
        deadline = time.monotonic() + patience_s
        while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.1)
        pids = [pid for pid in pids if _alive(pid)]


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _alive(pid: int) -> bool:
    try:
        return _state(Path(f"/proc/{pid}")) not in "ZX"
    except OSError:
        return False


def memory_mb(pids: list[int]) -> float:
    """Memory of the processes in MB, what they share counted once (proportional set size)."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024
