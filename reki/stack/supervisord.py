"""supervisor's configuration and its XML-RPC interface, as far as a stack needs them."""

import shlex
import sys
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from reki.embedded.service import Service

# Groups end in this order, the members of one at the same time: whoever uses the stores goes before them.
USERS, STORES = "users", "stores"
_STORES = {"valkey", "kafka", "tansu"}


def group_of(name: str) -> str:
    """The group of a service."""
    return STORES if name in _STORES else USERS


def socket_of(folder: Path) -> Path:
    """The control socket. `folder` must be short: a socket's path has at most 107 bytes."""
    return folder / "s"


def configuration(
    services: Sequence[Service], run_dir: Path, logs_dir: Path, socket_dir: Path, triton_url: str = ""
) -> str:
    """The text of supervisord.conf. Nothing starts by itself; `reki.stack.listener` decides about restarts.

    `triton_url` is where the listener asks Triton, if it is one of the services.
    """
    socket = socket_of(socket_dir)
    listener = (sys.executable, "-m", "reki.stack.listener", str(socket), str(run_dir), str(logs_dir), triton_url)
    parts = [
        _section(
            "supervisord",
            nodaemon="true",
            silent="true",
            logfile=logs_dir / "supervisord.log",
            pidfile=run_dir / "supervisord.pid",
            childlogdir=logs_dir,
            identifier="reki",
        ),
        _section("unix_http_server", file=socket, chmod="0600"),
        _section(
            "rpcinterface:supervisor",
            **{"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        _section(
            "eventlistener:listener",
            command=_command(listener),
            events="PROCESS_STATE_EXITED,TICK_5",
            buffer_size=100,  # a restart of Triton keeps the listener busy for a while
            autostart="true",
            autorestart="true",
            startsecs=0,
            stdout_logfile="NONE",  # it speaks supervisor's protocol there
            stderr_logfile=logs_dir / "listener.log",
        ),
    ]
    for group, priority in ((STORES, 1), (USERS, 2)):
        members = [service.name for service in services if group_of(service.name) == group]
        if members:
            parts.append(_section(f"group:{group}", programs=",".join(members), priority=priority))
    parts += [
        _section(
            f"program:{service.name}",
            command=_command(["env", *(f"{k}={v}" for k, v in service.environment.items()), *service.command]),
            autostart="false",
            autorestart="false",
            startsecs=0,
            stopsignal="TERM",
            stopwaitsecs=max(1, round(service.stop_s)),
            redirect_stderr="true",
            stdout_logfile=logs_dir / f"{service.name}.log",
            stdout_logfile_maxbytes="20MB",
            stdout_logfile_backups=1,
        )
        for service in services
    ]
    return "\n".join(parts)


def _section(name: str, **values: object) -> str:
    # supervisor expands %(...)s in every value.
    lines = (f"{key} = {str(value).replace('%', '%%')}" for key, value in values.items())
    return "\n".join([f"[{name}]", *lines, ""])


def _command(command: Sequence[str]) -> str:
    guarded = Service("", tuple(command), probe=lambda: True).guarded()
    return shlex.join(guarded)


class Control:
    """Asks a running supervisord; raises `OSError` where there is none, `xmlrpc.client.Fault` where it refuses."""

    def __init__(self, socket: Path) -> None:
        self._url = f"unix://{socket}"

    def _ask(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - XML-RPC answers what it likes
        # A connection for each question: supervisor's transport does not recover from one that failed.
        transport = SupervisorTransport(None, None, self._url)
        try:
            return getattr(xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor, method)(
                *arguments
            )
        finally:
            transport.close()

    def start(self, name: str) -> None:
        """Start a service without waiting for it; one that runs already is left alone."""
        try:
            self._ask("startProcess", f"{group_of(name)}:{name}", False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise

    def stop(self, name: str) -> None:
        """Stop a service and wait for its end; one that does not run is left alone."""
        try:
            self._ask("stopProcess", f"{group_of(name)}:{name}", True)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise

    def processes(self) -> list[dict[str, Any]]:
        """What supervisor knows of every service: name, statename, pid, start, exitstatus, ..."""
        found = cast("list[dict[str, Any]]", self._ask("getAllProcessInfo"))
        return [process for process in found if process["group"] in {USERS, STORES}]
