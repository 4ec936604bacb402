"""`/health` (JSON, 200 or 503) and `/metrics` (Prometheus) of a worker, on loopback, from a thread of its own.

A thread, because the page must answer, and say what is wrong, exactly when the event loop does not.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HealthReport:
    """`problems` empty = healthy. `details` must be JSON."""

    problems: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class HealthServer:
    """Serves one worker's pages on 127.0.0.1; `port` 0 draws a free one (then see `.port`)."""

    def __init__(self, port: int, report: Callable[[], HealthReport], registry: CollectorRegistry) -> None:
        handler = _handler(report, registry)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="health", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        log.info("health page on http://127.0.0.1:%d/health", self.port)

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _handler(report: Callable[[], HealthReport], registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self._answer(*_health(report))
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            else:
                self._answer(404, "text/plain", b"try /health or /metrics\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            with suppress(ConnectionError):  # whoever asked has given up: no reason for a traceback in the log
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401 - the base class's signature
            """Requests are not logged."""

    return Handler


def _health(report: Callable[[], HealthReport]) -> tuple[int, str, bytes]:
    try:
        now = report()
    except Exception as error:  # a health page that raises must say so, not hang up
        log.exception("health report")
        now = HealthReport((f"the report itself failed: {error!r}",))
    body = {"healthy": not now.problems, "problems": list(now.problems), **now.details}
    return (503 if now.problems else 200), "application/json", json.dumps(body).encode() + b"\n"
