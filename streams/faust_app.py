"""What both Faust applications share: the app without web server and tables, and a consume loop as its service."""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn

import faust
from faust.app.base import BootStrategy
from mode import Service

log = logging.getLogger(__name__)
UNEXPECTED = 70  # exit code after an error that nobody has foreseen: the supervisor starts a fresh process


class _NoKafka(BootStrategy):
    """For an application without agents: its Kafka work is done by its own services."""

    enable_kafka = False
    enable_web = False


class _NoWeb(BootStrategy):
    enable_web = False


def make_app(
    app_id: str, bootstrap: str, data_dir: Path, *, session_timeout_s: float = 6.0, agents: bool = False
) -> faust.App:
    """A Faust application that opens no port. `agents=False` leaves out Faust's own consumer and producer.

    `data_dir` is made; without tables nothing is kept there, so one folder does for all processes, again and again.
    """
    data_dir.mkdir(parents=True, exist_ok=True)

    class App(faust.App):
        BootStrategy = _NoWeb if agents else _NoKafka

    return App(
        app_id,
        broker=[f"aiokafka://{server}" for server in bootstrap.split(",")],
        datadir=str(data_dir),
        web_enabled=False,
        web_bind="127.0.0.1",
        topic_disable_leader=True,
        topic_allow_declare=False,
        key_serializer="raw",
        value_serializer="raw",
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=session_timeout_s / 4,
        broker_request_timeout=max(30.0, session_timeout_s + 1),
        stream_wait_empty=False,
    )


class Running(Service):
    """A coroutine as a Faust service: it runs until `stop` is asked for, and takes the process with it if it fails.

    `stop` tells it to end, and is awaited together with its end: mode cancels tasks right after `on_stop`.
    """

    def __init__(self, name: str, run: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._run = run
        self._stop = stop
        self._running: asyncio.Task[None] | None = None
        super().__init__()

    async def on_start(self) -> None:
        """Begin."""
        self._running = asyncio.create_task(self._guarded(), name=self._name)

    async def on_stop(self) -> None:
        """End in order."""
        await self._stop()
        if self._running is not None:
            await self._running

    async def _guarded(self) -> None:
        try:
            await self._run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            die(self._name, error)


def die(name: str, error: BaseException) -> NoReturn:
    """End the process now: a worker that has met the unforeseen must not commit anything any more."""
    log.critical("%s cannot go on: %s", name, error, exc_info=error)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(UNEXPECTED)


def run_app(app: faust.App, services: Sequence[Service], loglevel: str = "INFO") -> NoReturn:
    """Run until SIGTERM or SIGINT, then stop the services in order; exit code 0 after an orderly end."""
    for service in services:
        app.service(service)  # type: ignore[arg-type]  # Faust takes instances as well as classes
    quiet_clients()
    worker = faust.Worker(app, loglevel=loglevel, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None  # it would write cursor codes into log files
    worker.execute_from_commandline()


class _Seldom(logging.Filter):
    """Lets the Kafka clients say the same thing once in ten seconds: an outage is hundreds of lines otherwise."""

    def __init__(self, every_s: float = 10.0) -> None:
        super().__init__()
        self._every_s = every_s
        self._said: dict[tuple[str, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to let it through."""
        if not record.name.startswith(("aiokafka", "kafka")):
            return True
        key = (record.name, record.msg)
        if record.created - self._said.get(key, float("-inf")) < self._every_s:
            return False
        if len(self._said) > 1000:
            self._said.clear()
        self._said[key] = record.created
        return True


def quiet_clients() -> None:
    """Keep the Kafka clients' logs to what a person wants to read."""
    logging.getLogger("kafka").setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Seldom())
