"""What the two workers counted in this run, read from their `/metrics`."""

import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from reki.stack.ports import StackPorts


@dataclass(frozen=True)
class Counted:
    """Counts since the workers started. `tokens_cached` are part of `tokens_in`."""

    events_applied: int
    dead_letters: int
    llm_calls: int
    recorded: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int


def read(ports: StackPorts) -> Counted:
    """Ask both workers; raises `OSError` where one does not answer."""
    stream, refresh = _Samples(ports.stream_health), _Samples(ports.refresh_health)
    return Counted(
        events_applied=stream.total("reki_stream_events", outcome="applied"),
        dead_letters=stream.total("reki_stream_dead_letters") + refresh.total("reki_refresh_dead_letters"),
        llm_calls=refresh.total("reki_refresh_llm_calls"),
        recorded=refresh.total("reki_refresh_recorded"),
        tokens_in=refresh.total("reki_refresh_tokens", kind="in"),
        tokens_cached=refresh.total("reki_refresh_tokens", kind="cached"),
        tokens_out=refresh.total("reki_refresh_tokens", kind="out"),
    )


class _Samples:
    def __init__(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        families: Sequence[object] = list(text_string_to_metric_families(text))
        self._samples = [sample for family in families for sample in family.samples]  # type: ignore[attr-defined] # untyped

    def total(self, name: str, **labels: str) -> int:
        return int(
            sum(
                sample.value
                for sample in self._samples
                if sample.name == f"{name}_total" and labels.items() <= sample.labels.items()
            )
        )
