"""The services of the embedded stack, as the settings ask for them."""

import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from knowledge.base import TerminalError
from reki.embedded import kafka, llm, ports, tansu, valkey
from reki.embedded.broker_choice import BrokerKind, choose
from reki.embedded.service import Service
from reki.paths import ROOT
from reki.settings import SETTINGS_FILE, Settings, Source, stack_values
from reki.stack.ports import StackPorts
from serving import launcher

# In the order in which they are waited for; the broker is `kafka` or `tansu`.
NAMES = ("valkey", "broker", "llm", "triton", "stream", "refresh")
TRITON_PYTHON = ROOT / ".venv-triton" / "bin" / "python"


def broker_kind(settings: Settings) -> BrokerKind:
    """Which broker the stack will use."""
    if settings.is_explicit("kafka_bootstrap"):
        return BrokerKind.EXTERNAL
    return choose(settings.reki.broker, settings.reki.kafka_home, settings.reki.cache).kind


def broker_name(settings: Settings) -> str:
    """What `summary.json` calls the broker."""
    kind = broker_kind(settings)
    if kind is BrokerKind.EXTERNAL:
        return f"your own broker at {settings.streams.kafka_bootstrap}"
    return f"Apache Kafka {kafka.VERSION}" if kind is BrokerKind.KAFKA else tansu.NAME


def broker_note(settings: Settings) -> str:
    """One plain line where the broker is not what one would expect, else empty."""
    if broker_kind(settings) is BrokerKind.EXTERNAL:
        return ""
    return choose(settings.reki.broker, settings.reki.kafka_home, settings.reki.cache).note


def pointed_at(settings: Settings, stack_ports: StackPorts, data_dir: Path) -> Settings:
    """Settings whose addresses and folders are those of a stack; what somebody chose explicitly stays."""
    wanted = {
        **stack_ports.addresses(),
        "offline_dir": data_dir / "offline",
        "knowledge_cache_dir": data_dir / "answers",
        "registry_path": data_dir / "registry.db",
        "faust_dir": data_dir / "faust",
        "kafka_last_resort": broker_kind(settings) is BrokerKind.LAST_RESORT,
    }
    chosen = {field: settings.value(field) for field in (*wanted, "llm") if settings.is_explicit(field)}
    return settings.replaced(Source.STACK, **{**stack_values(wanted, chosen), "data_dir": data_dir})


def build(
    settings: Settings, stack_ports: StackPorts, run_dir: Path, data_dir: Path, names: tuple[str, ...] = NAMES
) -> list[Service]:
    """The services to run, in the order of `NAMES`; those for which the settings name one of your own are left out.

    Raises `TerminalError` where one cannot run here, with what to do about it.
    """
    found: list[Service] = []
    if "valkey" in names and not settings.is_explicit("redis_url"):
        found.append(valkey.service(stack_ports.valkey, data_dir / "valkey"))
    if "broker" in names and not settings.is_explicit("kafka_bootstrap"):
        found.append(_broker(settings, stack_ports, data_dir))
    if "llm" in names and settings.knowledge.llm == "embedded" and not settings.is_explicit("llm_base_url"):
        found.append(llm.service(stack_ports.llm, settings.reki.llm_slots))
    if "triton" in names and not settings.is_explicit("triton_grpc_url"):
        found.append(_triton(stack_ports, run_dir))
    for name, port in (("stream", stack_ports.stream_health), ("refresh", stack_ports.refresh_health)):
        if name in names:
            found.append(_worker(name, port, run_dir))
    return found


def models_dir(run_dir: Path) -> Path:
    """Triton's model repository of a stack; `serving.export` writes it."""
    return run_dir / "models"


def settings_file(run_dir: Path) -> Path:
    """The settings that the workers of a stack read."""
    return run_dir / "settings.json"


def _broker(settings: Settings, stack_ports: StackPorts, data_dir: Path) -> Service:
    choice = choose(settings.reki.broker, settings.reki.kafka_home, settings.reki.cache)
    if choice.jars is None:
        return tansu.service(stack_ports.kafka)
    return kafka.service(choice.jars, data_dir / "kafka", stack_ports.kafka, stack_ports.kafka_controller)


def _triton(stack_ports: StackPorts, run_dir: Path) -> Service:
    http = f"http://{ports.LOOPBACK}:{stack_ports.triton_http}"
    listen = launcher.Ports(stack_ports.triton_http, stack_ports.triton_grpc, stack_ports.triton_metrics)
    return Service(
        name="triton",
        title="Triton (ranker)",
        command=tuple(launcher.start_command(TRITON_PYTHON, models_dir(run_dir), run_dir / "triton", listen)),
        prepare=lambda: _check_triton(run_dir),
        # An inference: Triton calls itself ready also where a model's process is gone.
        probe=lambda: launcher.probe(http) is None,
        ready_s=180,
        stop_s=12,
    )


def _check_triton(run_dir: Path) -> None:
    if not TRITON_PYTHON.exists():
        raise TerminalError("no_triton", f"{TRITON_PYTHON} is missing: run `sh scripts/setup`")
    if not models_dir(run_dir).is_dir():
        raise TerminalError("no_models", "Triton has no models to serve: `make demo` trains and exports a release")


def _worker(name: str, port: int, run_dir: Path) -> Service:
    return Service(
        name=name,
        title=f"{name} worker",
        command=(sys.executable, "-m", "reki.workers", name),
        environment={SETTINGS_FILE: str(settings_file(run_dir))},
        probe=_health(port),
        ready_s=120,
        stop_s=20,
    )


def _health(port: int) -> Callable[[], bool]:
    def is_ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://{ports.LOOPBACK}:{port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return is_ready
