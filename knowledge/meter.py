"""What the LLM did and cost, per purpose; for /metrics, reports and the demo's summary."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Usage:
    """Counters of one purpose (`user`, `item`). Tokens are the server's own figures, failed answers included."""

    calls: int = 0  # HTTP requests that were answered or failed
    answers: int = 0  # valid answers from the server
    cache_hits: int = 0
    retries: int = 0
    repair_calls: int = 0  # second questions after an answer that could not be used
    tokens_in: int = 0
    tokens_cached: int = 0  # part of tokens_in
    tokens_out: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # by the error's reason
    repairs: Counter[str] = field(default_factory=Counter)  # mended without a call, by reason


class Meter:
    """Usage per purpose. Written from the event loop only; reading from another thread sees a recent state."""

    def __init__(self) -> None:
        self._usage: dict[str, Usage] = {}

    def of(self, purpose: str) -> Usage:
        """The counters of `purpose`."""
        return self._usage.setdefault(purpose, Usage())

    def total(self, counter: str) -> int:
        """The sum of one counter over all purposes."""
        return sum(int(getattr(usage, counter)) for usage in self._usage.values())

    def samples(self) -> Iterator[tuple[str, dict[str, str], int]]:
        """(metric name, labels, value), named as Prometheus wants counters."""
        for purpose, usage in list(self._usage.items()):
            for name in ("calls", "answers", "cache_hits", "retries", "repair_calls"):
                yield f"reki_llm_{name}_total", {"purpose": purpose}, getattr(usage, name)
            for kind in ("in", "cached", "out"):
                labels = {"purpose": purpose, "kind": kind}
                yield "reki_llm_tokens_total", labels, getattr(usage, f"tokens_{kind}")
            for reason, count in list(usage.failures.items()):
                yield "reki_llm_failures_total", {"purpose": purpose, "reason": reason}, count
            for reason, count in list(usage.repairs.items()):
                yield "reki_llm_repairs_total", {"purpose": purpose, "reason": reason}, count
