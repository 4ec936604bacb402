"""The embedded stack: start it, ask how it is, stop it; from this process or from a later one."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from knowledge.base import TerminalError, TransientError
from reki.embedded.ports import LOOPBACK, is_free
from reki.embedded.service import Service, last_line, wait_ready
from reki.settings import Settings
from reki.stack import control, processes, services, supervisord
from reki.stack.listener import FATAL_FILE
from reki.stack.ports import StackPorts

Progress = Callable[[int, int, str], None]
_PORT_PATIENCE_S = 5.0


class Stack:
    """One stack: its services live and die together, its files lie in three folders.

    `run_dir` (sockets, configuration, models), `data_dir` (what the stores keep) and `logs_dir` belong to it alone.
    `ports` are drawn anew unless given. `names` limits it to some of `services.NAMES`.
    """

    def __init__(
        self,
        settings: Settings,
        run_dir: Path,
        data_dir: Path,
        logs_dir: Path,
        ports: StackPorts | None = None,
        names: tuple[str, ...] = services.NAMES,
    ) -> None:
        self.run_dir, self.data_dir, self.logs_dir = run_dir.resolve(), data_dir.resolve(), logs_dir.resolve()
        self.ports = ports or StackPorts.drawn()
        self.settings = services.pointed_at(settings, self.ports, self.data_dir)
        self.broker_name = services.broker_name(self.settings)
        self.broker_note = services.broker_note(self.settings)
        self._services = services.build(self.settings, self.ports, self.run_dir, self.data_dir, names)
        self.ready_s: dict[str, float] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def models_dir(self) -> Path:
        """Where Triton's model repository must stand before `up` starts Triton."""
        return services.models_dir(self.run_dir)

    def up(
        self, progress: Progress | None = None, only: Sequence[str] | None = None, detached: bool = False
    ) -> dict[str, float]:
        """Start what does not run yet (of `only`, names of `services.NAMES`), all at once; wait for each in order.

        Returns the seconds until each was ready. The stack ends with this process unless `detached`; then call it
        from the main thread, because Linux ties children to the thread that made them. Raises `TransientError`
        (`service_died`, `service_not_ready`) or `TerminalError`; what was started then still runs: call `down`.
        """
        wanted = [service for service in self._services if only is None or _generic(service.name) in only]
        report = progress or (lambda done, total, note: None)
        report(0, len(wanted), "starting")
        supervisor = self._supervisor(detached)
        running = {process["name"] for process in supervisor.processes() if process["statename"] == "RUNNING"}
        missing = [service for service in wanted if service.name not in running]
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda service: service.prepare(), missing))
        begin = time.monotonic()
        for service in missing:
            supervisor.start(service.name)
        for done, service in enumerate(wanted):
            report(done, len(wanted), f"waiting for {service.title or service.name}")
            wait_ready(service, lambda service=service: self._exit_code(supervisor, service), self._log(service.name))  # type: ignore[misc] # a default argument binds the loop's value
            self.ready_s[service.name] = time.monotonic() - begin
        report(len(wanted), len(wanted), "ready")
        return {service.name: self.ready_s[service.name] for service in wanted}

    def down(self) -> None:
        """Stop everything, users of the stores first; returns when no process is left. Does nothing if none runs."""
        control.down(self.run_dir)
        if self._process is not None:
            self._process.wait()
            self._process = None

    @contextmanager
    def running(self, progress: Progress | None = None, only: Sequence[str] | None = None) -> Iterator["Stack"]:
        """The stack for as long as the block lasts."""
        try:
            self.up(progress, only)
            yield self
        finally:
            self.down()

    def status(self) -> list[control.ServiceStatus]:
        """How every service is; empty if the stack is not up."""
        return control.status(self.run_dir)

    def restart(self, name: str) -> None:
        """Stop one service and start it again, ready."""
        service = self._named(name)
        supervisor = self._control()
        supervisor.stop(service.name)
        supervisor.start(service.name)
        wait_ready(service, lambda: self._exit_code(supervisor, service), self._log(service.name))

    def stop(self, name: str) -> None:
        """Stop one service and wait for its end; `up` starts it again. The others go on without it."""
        self._control().stop(self._named(name).name)

    def wait_ready(self, name: str) -> float:
        """Wait until a service (again) answers its probe; returns the seconds waited."""
        service = self._named(name)
        return wait_ready(service, lambda: None, self._log(service.name))

    def pid(self, name: str) -> int | None:
        """The process of a service, if it runs now."""
        service = self._named(name)
        return next((one.pid for one in self.status() if one.name == service.name), None)

    def memory_mb(self) -> float:
        """Memory of all processes of the stack, shared pages counted once."""
        return processes.memory_mb(processes.marked(self.run_dir))

    def _named(self, name: str) -> Service:
        for service in self._services:
            if name in {service.name, _generic(service.name)}:
                return service
        raise TerminalError("no_service", f"this stack runs no service {name!r}")

    def _log(self, name: str) -> Path:
        return self.logs_dir / f"{name}.log"

    def _control(self) -> supervisord.Control:
        known = control.read(self.run_dir)
        if known is None:
            raise TerminalError("not_up", "the stack is not up")
        return supervisord.Control(supervisord.socket_of(Path(str(known["socket_dir"]))))

    def _exit_code(self, supervisor: supervisord.Control, service: Service) -> int | None:
        fatal = control.fatal(self.run_dir).get(service.name)
        if fatal:
            raise TransientError("service_died", control.died(service.name, fatal))
        state = next(one for one in supervisor.processes() if one["name"] == service.name)
        # EXITED alone is no end: the listener is about to start it again.
        return int(state["exitstatus"]) if state["statename"] in {"FATAL", "STOPPED", "UNKNOWN"} else None

    def _supervisor(self, detached: bool) -> supervisord.Control:
        """The control of this stack's supervisord, started if it does not run."""
        if control.read(self.run_dir) is not None:
            return self._control()
        control.down(self.run_dir)  # what a crash has left of an earlier one
        self._check_ports()
        for folder in (self.run_dir, self.data_dir, self.logs_dir):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise TerminalError("no_folder", f"the folder {folder} cannot be made: {error.strerror}") from error
        (self.run_dir / FATAL_FILE).unlink(missing_ok=True)
        self.settings.write(services.settings_file(self.run_dir))
        socket_dir = Path(tempfile.mkdtemp(prefix="reki-"))
        config = self.run_dir / "supervisord.conf"
        triton_url = f"http://{LOOPBACK}:{self.ports.triton_http}"
        config.write_text(
            supervisord.configuration(self._services, self.run_dir, self.logs_dir, socket_dir, triton_url)
        )
        command = (sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(config))
        tied = not detached and threading.current_thread() is threading.main_thread()
        with (self.logs_dir / "supervisord.out").open("wb") as output:
            process = subprocess.Popen(
                Service("supervisord", command, probe=lambda: True).guarded() if tied else list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, processes.MARK: str(self.run_dir)},
                start_new_session=True,  # Ctrl-C is ours to handle: supervisor would stop everything at once
            )
        self._process = process
        state = {"pid": process.pid, "started": processes.started_at(process.pid), "socket_dir": str(socket_dir)}
        state["triton_url"] = triton_url
        (self.run_dir / control.STATE_FILE).write_text(json.dumps(state))
        supervisor = supervisord.Control(supervisord.socket_of(socket_dir))
        deadline = time.monotonic() + 30
        while True:
            try:
                supervisor.processes()
            except (OSError, xmlrpc.client.Error) as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    why = last_line(self.logs_dir / "supervisord.out")
                    raise TransientError("no_supervisor", f"the supervisor did not start: {why or error}") from error
                time.sleep(0.05)
            else:
                return supervisor

    def _check_ports(self) -> None:
        # A killed process drops its environment, by which we find it, a moment before its sockets.
        deadline = time.monotonic() + _PORT_PATIENCE_S
        while taken := [port for port in vars(self.ports).values() if not is_free(port)]:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise TerminalError(
                "port_taken",
                f"port {taken[0]} of this clone is in use by another program: stop that, or remove .reki/ports.json "
                "so that new ports are drawn",
            )


def _generic(name: str) -> str:
    return "broker" if name in {"kafka", "tansu"} else name
