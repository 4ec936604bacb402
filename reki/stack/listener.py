"""Decides what happens when a service of the stack ends by itself: start it again, or give it up.

supervisor runs this as an event listener: `python -m reki.stack.listener SOCKET RUN_DIR LOGS_DIR TRITON_URL`. Its
own restart rule knows only processes that die right after their start; ours counts deaths in time, so that a worker
that crashes every five seconds does not do so forever unseen. A Triton that no longer answers counts as dead.
"""

import json
import re
import sys
import time
import xmlrpc.client
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervisor import childutils

from reki.embedded.service import last_line
from reki.stack.supervisord import Control
from reki.stack.watch import Watch

DEATHS, WITHIN_S = 3, 30.0
FATAL_FILE = "fatal.json"


class Deaths:
    """When each service died last, and how many times in a row it did not live for `WITHIN_S` after its start."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=DEATHS))
        self._short: dict[str, int] = defaultdict(int)

    def again(self, name: str, lived_s: float) -> bool:
        """Count a death, `lived_s` after the start; whether the service may be started again.

        Lives are counted beside wall time: three lives of a worker that needs 15 s to load cannot end within 30 s.
        """
        times = self._times[name]
        times.append(self._clock())
        self._short[name] = self._short[name] + 1 if lived_s <= WITHIN_S else 0
        many_at_once = len(times) == DEATHS and times[-1] - times[0] <= WITHIN_S
        return not many_at_once and self._short[name] < DEATHS

    def forget(self, name: str) -> None:
        """Start counting anew, for a service that was given up and may be started by hand."""
        self._times.pop(name, None)
        self._short.pop(name, None)


def how_it_ended(name: str, supervisor_log: Path) -> str:
    """How supervisor describes the last end of a service: "exit status 3", "terminated by SIGKILL"."""
    try:
        found = re.findall(
            rf"exited: {re.escape(name)} \(([^;)]*)", supervisor_log.read_text(errors="replace")[-20_000:]
        )
    except OSError:
        found = []
    return found[-1] if found else "unknown exit status"


def give_up(name: str, run_dir: Path, logs_dir: Path, ended: str = "") -> None:
    """Write down, for `reki up` and `reki status`, that a service is not started again, and why."""
    file = run_dir / FATAL_FILE
    known = json.loads(file.read_text()) if file.exists() else {}
    known[name] = {
        "ended": ended or how_it_ended(name, logs_dir / "supervisord.log"),
        "last_line": last_line(logs_dir / f"{name}.log"),
        "log": str(logs_dir / f"{name}.log"),
    }
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(known))
    draft.replace(file)


class Keeper:
    """Acts on what supervisor reports."""

    def __init__(self, control: Control, run_dir: Path, logs_dir: Path, watch: Watch | None) -> None:
        self._control, self._run_dir, self._logs_dir, self._watch = control, run_dir, logs_dir, watch
        self._deaths = Deaths()

    def ended(self, name: str) -> None:
        """A service ended by itself."""
        process = self._known(name)
        lived_s = max(0.0, process["stop"] - process["start"]) if process else 0.0
        if self._deaths.again(name, lived_s):
            self._control.start(name)
        else:
            self._give_up(name)

    def tick(self) -> None:
        """Some seconds have passed: restart a Triton that does not answer."""
        process = self._known("triton") if self._watch else None
        why = self._watch.why_restart(process) if self._watch and process else None
        if why is None or process is None:
            return
        print(f"triton is restarted: {why}", file=sys.stderr, flush=True)
        again = self._deaths.again("triton", process["now"] - process["start"])
        self._control.stop("triton")
        if again:
            self._control.start("triton")
        else:
            self._give_up("triton", f"not answering: {why}")

    def _give_up(self, name: str, ended: str = "") -> None:
        self._deaths.forget(name)
        give_up(name, self._run_dir, self._logs_dir, ended)

    def _known(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self._control.processes() if one["name"] == name), None)


def main(socket: Path, run_dir: Path, logs_dir: Path, triton_url: str) -> None:
    """Answer supervisor's events until it ends."""
    keeper = Keeper(Control(socket), run_dir, logs_dir, Watch(triton_url) if triton_url else None)
    while True:
        headers, payload = childutils.listener.wait(sys.stdin, sys.stdout)
        try:
            if headers["eventname"] == "PROCESS_STATE_EXITED":
                keeper.ended(childutils.get_headers(payload)["processname"])
            else:
                keeper.tick()
        except (OSError, xmlrpc.client.Error) as error:  # it is shutting down, or the command is gone
            print(f"{headers['eventname']} came to nothing: {error}", file=sys.stderr, flush=True)
        childutils.listener.ok(sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
