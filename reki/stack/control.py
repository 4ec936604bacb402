"""Ask and stop a stack that any process started: all that is needed is its run folder."""

import json
import shutil
import xmlrpc.client
from dataclasses import dataclass, replace
from pathlib import Path

from knowledge.base import RekiError, TransientError
from reki.stack import processes, supervisord
from reki.stack.listener import FATAL_FILE
from serving import launcher

STATE_FILE = "stack.json"
_STOP_S = 60.0


@dataclass(frozen=True)
class ServiceStatus:
    """How one service is. `detail` says why where it does not run."""

    name: str
    state: str
    pid: int | None
    up_s: float
    detail: str = ""


def read(run_dir: Path) -> dict[str, object] | None:
    """The state of the stack in `run_dir` if its supervisord lives; a number used again is not taken for it."""
    try:
        state = json.loads((run_dir / STATE_FILE).read_text())
        alive = processes.started_at(int(state["pid"])) == state["started"]
    except (OSError, ValueError, KeyError):
        return None
    return state if alive else None


def fatal(run_dir: Path) -> dict[str, dict[str, str]]:
    """What the listener wrote down about the services that it gave up."""
    try:
        found: dict[str, dict[str, str]] = json.loads((run_dir / FATAL_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found


def died(name: str, how: dict[str, str]) -> str:
    """One sentence about a service that was given up."""
    said = f": {how['last_line']}" if how["last_line"] else ""
    often = "died three times within 30 s of its start and is not started again"
    return f"{name} {often} ({how['ended']}){said} (log: {how['log']})"


def is_up(run_dir: Path) -> bool:
    """Whether a stack with this run folder has a living supervisor."""
    return read(run_dir.resolve()) is not None


def failures(run_dir: Path) -> dict[str, str]:
    """Services that were given up, each with one sentence that says how they died."""
    return {name: died(name, how) for name, how in fatal(run_dir.resolve()).items()}


def status(run_dir: Path) -> list[ServiceStatus]:
    """How the services of the stack with this run folder are; empty if it is not up."""
    run_dir = run_dir.resolve()
    state = read(run_dir)
    if state is None:
        return []
    given_up = failures(run_dir)
    control = supervisord.Control(supervisord.socket_of(Path(str(state["socket_dir"]))))
    try:
        found = control.processes()
    except (OSError, xmlrpc.client.Error) as error:
        raise TransientError("no_supervisor", f"the stack's supervisor does not answer: {error}") from error
    return [
        ServiceStatus(
            name=one["name"],
            state="given up" if one["name"] in given_up else one["statename"].lower(),
            pid=one["pid"] or None,
            up_s=float(one["now"] - one["start"]) if one["pid"] else 0.0,
            detail=given_up.get(one["name"], ""),
        )
        for one in found
    ]


def probed(run_dir: Path) -> list[ServiceStatus]:
    """As `status`, but a Triton that runs is also asked, for up to 2 s: "not answering" where it does not answer."""
    found = status(run_dir)
    url = str((read(run_dir.resolve()) or {}).get("triton_url", ""))
    for place, one in enumerate(found):
        why = launcher.probe(url) if url and one.name == "triton" and one.state == "running" else None
        if why is not None:
            found[place] = replace(one, state="not answering", detail=why)
    return found


def down(run_dir: Path) -> bool:
    """Stop the stack with this run folder and whatever is left of it; whether there was anything to stop."""
    run_dir = run_dir.resolve()
    state = read(run_dir)
    found = processes.marked(run_dir)
    if state is not None:
        # supervisord ends its groups in order; the rest follows below if it cannot.
        processes.end([int(str(state["pid"]))], patience_s=_STOP_S)
    processes.end(processes.marked(run_dir), patience_s=20)
    try:
        recorded = json.loads((run_dir / STATE_FILE).read_text())
        shutil.rmtree(recorded["socket_dir"], ignore_errors=True)
        (run_dir / STATE_FILE).unlink()
    except (OSError, ValueError, KeyError):
        pass
    left = processes.marked(run_dir)
    if left:
        raise RekiError("still_running", f"these processes of the stack could not be ended: {left}")
    return bool(found)
