"""The embedded LLM server (llama.cpp with SmolLM2, `reki.embedded.llm_server`) as a service."""

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reki.embedded.ports import LOOPBACK, draw
from reki.embedded.service import Service, running


@dataclass(frozen=True)
class LlmServer:
    """A running LLM server."""

    port: int
    pid: int

    @property
    def base_url(self) -> str:
        """The address that OpenAI clients take."""
        return f"http://{LOOPBACK}:{self.port}/v1"


def command(port: int, slots: int) -> tuple[str, ...]:
    """The command of the server; `slots` requests are answered at once, 4,096 tokens each."""
    return (sys.executable, "-m", "reki.embedded.llm_server", "--port", str(port), "--slots", str(slots))


def is_ready(port: int) -> bool:
    """Whether the model is loaded: llama.cpp answers /health with 503 before that."""
    try:
        url = f"http://{LOOPBACK}:{port}/health"
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def service(port: int, slots: int = 2) -> Service:
    """The LLM server as a service of the stack."""
    return Service(
        name="llm",
        title="SmolLM2-135M (embedded LLM)",
        command=command(port, slots),
        probe=lambda: is_ready(port),
        ready_s=120,
    )


@contextmanager
def start(folder: Path, slots: int = 2) -> Iterator[LlmServer]:
    """Run the server for as long as the block lasts; only its log goes to `folder`."""
    port = draw()[0]
    with running(service(port, slots), folder / "llm.log") as process:
        yield LlmServer(port, process.pid)
