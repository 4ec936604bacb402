"""Apache Kafka as one KRaft node, from the jars that set-up fetched with Maven (or from KAFKA_HOME)."""

import base64
import functools
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from knowledge.base import TerminalError
from reki.embedded.ports import LOOPBACK, accepts, draw
from reki.embedded.service import Service, running

VERSION = "4.3.1"
JAVA_OLDEST = 17
BROKER_FILES = Path(__file__).with_name("broker")
# 256 MB carries 200,000 messages a second; the serial collector and C1 alone start in half the time.
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data_dir}
num.partitions=6
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# After kill -9 the node waits out its own old registration: 2 s with these two, 11 s without.
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
log.cleaner.dedupe.buffer.size=4194304
"""


@dataclass(frozen=True)
class Broker:
    """A running broker."""

    port: int
    pid: int
    name: str

    @property
    def bootstrap(self) -> str:
        """The address that Kafka clients take."""
        return f"{LOOPBACK}:{self.port}"


def java() -> str | None:
    """The `java` on PATH if Kafka can run on it, else None."""
    found = shutil.which("java")
    return found if found and _java_version(found) >= JAVA_OLDEST else None


@functools.cache
def _java_version(path: str) -> int:
    try:
        said = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


def libs(cache_dir: Path) -> Path:
    """Where set-up puts the jars."""
    return cache_dir / "kafka" / f"{VERSION}" / "libs"


def is_fetched(cache_dir: Path) -> bool:
    """Whether the jars are there (set-up renames the folder into place only after checking every sum)."""
    return libs(cache_dir).is_dir()


def _java_command(jars: Path, *arguments: str) -> tuple[str, ...]:
    found = java()
    if found is None:
        raise TerminalError("no_java", "Apache Kafka needs `java` 17 or newer on PATH: install a JRE, e.g. openjdk-17")
    log_config = BROKER_FILES / "log4j2.yaml"
    return (found, *_JVM, f"-Dlog4j2.configurationFile={log_config}", "-cp", f"{jars}/*", *arguments)


def command(jars: Path, properties: Path) -> tuple[str, ...]:
    """The command of the node."""
    return _java_command(jars, "kafka.Kafka", str(properties))


def cluster_id() -> str:
    """A random id as Kafka's own are; never one that begins with "-", which its tools take for an option."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return made


def prepare(jars: Path, folder: Path, port: int, controller_port: int) -> None:
    """Write the node's configuration into `folder` and format its data folder once.

    Raises `TerminalError` (`kafka_format`) where Kafka refuses, with its own last line.
    """
    data_dir = folder / "data"
    data_dir.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    properties.write_text(
        _PROPERTIES.format(host=LOOPBACK, port=port, controller_port=controller_port, data_dir=data_dir)
    )
    if (data_dir / "meta.properties").exists():
        return
    arguments = ("kafka.tools.StorageTool", "format", "-t", cluster_id(), "-c", str(properties))
    result = subprocess.run(_java_command(jars, *arguments), capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines() or ["no output"]
        raise TerminalError("kafka_format", f"Kafka could not format {data_dir}: {lines[-1]}")


def is_ready(port: int) -> bool:
    """Whether the node answers a metadata request with itself as a live broker."""
    if not accepts(port):
        return False
    try:
        admin = KafkaAdminClient(bootstrap_servers=f"{LOOPBACK}:{port}", request_timeout_ms=2000)
    except (KafkaError, OSError):
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        admin.close()


def service(jars: Path, folder: Path, port: int, controller_port: int) -> Service:
    """Kafka as a service of the stack; data and configuration in `folder`."""
    return Service(
        name="kafka",
        title=f"Apache Kafka {VERSION}",
        command=command(jars, folder / "server.properties"),
        prepare=lambda: prepare(jars, folder, port, controller_port),
        probe=lambda: is_ready(port),
        ready_s=90,
        stop_s=15,
    )


@contextmanager
def start(folder: Path, jars: Path, port: int | None = None, controller_port: int | None = None) -> Iterator[Broker]:
    """Run a node in `folder` for as long as the block lasts; give the same ports again to start the same node."""
    drawn = draw(2)
    chosen, controller = port or drawn[0], controller_port or drawn[1]
    with running(service(jars, folder, chosen, controller), folder / "kafka.log") as process:
        yield Broker(chosen, process.pid, f"Apache Kafka {VERSION}")
