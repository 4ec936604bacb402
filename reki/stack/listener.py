"""Decides what happens when a service of the stack ends by itself: start it again, or give it up.

supervisor runs this as an event listener: `python -m reki.stack.listener SOCKET RUN_DIR LOGS_DIR`. Its own restart
rule knows only processes that die right after their start; ours counts deaths in time, so that a worker that
crashes every five seconds does not do so forever unseen.
"""

import json
import re
import sys
import time
import xmlrpc.client
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path

from supervisor import childutils

from reki.embedded.service import last_line
from reki.stack.supervisord import Control

DEATHS, WITHIN_S = 3, 30.0
FATAL_FILE = "fatal.json"


class Deaths:
    """When each service died last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=DEATHS))

    def again(self, name: str) -> bool:
        """Count a death; whether the service may be started again."""
        times = self._times[name]
        times.append(self._clock())
        return len(times) < DEATHS or times[-1] - times[0] > WITHIN_S


def how_it_ended(name: str, supervisor_log: Path) -> str:
    """How supervisor describes the last end of a service: "exit status 3", "terminated by SIGKILL"."""
    try:
        found = re.findall(
            rf"exited: {re.escape(name)} \(([^;)]*)", supervisor_log.read_text(errors="replace")[-20_000:]
        )
    except OSError:
        found = []
    return found[-1] if found else "unknown exit status"


def give_up(name: str, run_dir: Path, logs_dir: Path) -> None:
    """Write down, for `reki up` and `reki status`, that a service is not started again, and why."""
    file = run_dir / FATAL_FILE
    known = json.loads(file.read_text()) if file.exists() else {}
    known[name] = {
        "ended": how_it_ended(name, logs_dir / "supervisord.log"),
        "last_line": last_line(logs_dir / f"{name}.log"),
        "log": str(logs_dir / f"{name}.log"),
    }
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(known))
    draft.replace(file)


def main(socket: Path, run_dir: Path, logs_dir: Path) -> None:
    """Answer supervisor's events until it ends."""
    deaths = Deaths()
    while True:
        headers, payload = childutils.listener.wait(sys.stdin, sys.stdout)
        if headers["eventname"] == "PROCESS_STATE_EXITED":
            name = childutils.get_headers(payload)["processname"]
            if deaths.again(name):
                try:
                    Control(socket).start(name)
                except (OSError, xmlrpc.client.Fault) as error:  # it is shutting down, or the command is gone
                    print(f"{name} was not started again: {error}", file=sys.stderr, flush=True)
            else:
                give_up(name, run_dir, logs_dir)
        childutils.listener.ok(sys.stdout)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
