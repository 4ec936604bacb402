"""What the refresh worker counts, for `/metrics` and the health page."""

from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from knowledge.meter import Meter
from streams.budget import TokenBudget
from streams.refresher import Refreshed, RefreshEnd

# From the recorded answer (tens of milliseconds) to a slow LLM behind a queue.
_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class _LlmUsage(Collector):
    """The LLM client's own meter as Prometheus counters: calls, failures, repairs and tokens, by purpose."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def collect(self) -> Iterable[CounterMetricFamily]:
        families: dict[str, CounterMetricFamily] = {}
        for name, labels, value in self._meter.samples():
            if name not in families:
                what = name.removeprefix("reki_llm_").removesuffix("_total").replace("_", " ")
                families[name] = CounterMetricFamily(
                    name, f"LLM {what}, by {' and '.join(labels)}.", labels=list(labels)
                )
            families[name].add_metric(list(labels.values()), value)
        return families.values()


class RefreshMetrics:
    """Prometheus counters of one refresh worker, in a registry of their own, beside those of its LLM client."""

    def __init__(self, budget: TokenBudget, meter: Meter | None = None) -> None:
        self._budget = budget
        self.registry = CollectorRegistry()
        if meter is not None:
            self.registry.register(_LlmUsage(meter))
        at = self.registry
        self.requests = Counter("reki_refresh_requests", "Refresh requests read.", registry=at)
        self.ends = Counter("reki_refresh_ends", "Ended requests by outcome.", ["outcome"], registry=at)
        self.dead_letters = Counter(
            "reki_refresh_dead_letters", "Requests given up, by reason.", ["reason"], registry=at
        )
        self.transient = Counter(
            "reki_refresh_waits", "Waits for a store or the LLM, by reason.", ["reason"], registry=at
        )
        self.calls = Counter("reki_refresh_llm_calls", "Answers paid for: live LLM calls.", registry=at)
        self.recorded = Counter("reki_refresh_recorded", "Answers that cost no call: recorded or cached.", registry=at)
        self.tokens = Counter("reki_refresh_tokens", "Tokens by kind (in, cached, out).", ["kind"], registry=at)
        self.seconds = Histogram(
            "reki_refresh_seconds", "From the request to the readable rows.", buckets=_SECONDS, registry=at
        )
        self.in_flight = Gauge("reki_refresh_in_flight", "Requests taken and not finished.", registry=at)
        self.due = Gauge("reki_refresh_due", "Users in the due set, by part.", ["part"], registry=at)
        self.leading = Gauge("reki_refresh_scheduler_leading", "1 where this worker runs the scheduler.", registry=at)

    def ended(self, refreshed: Refreshed) -> None:
        """Count one served request; a call's cost teaches the scheduler's budget."""
        self.ends.labels(refreshed.end.value).inc()
        extraction = refreshed.extraction
        if refreshed.end is not RefreshEnd.WRITTEN or extraction is None:
            return
        knowledge = extraction.knowledge
        (self.calls if extraction.called else self.recorded).inc()
        spent = (0, 0, 0)
        if extraction.called:
            spent = (knowledge.tokens_in, knowledge.tokens_cached, knowledge.tokens_out)
        for kind, count in zip(("in", "cached", "out"), spent, strict=True):
            self.tokens.labels(kind).inc(count)
        # Prompt tokens from the server's prefix cache cost next to nothing.
        self._budget.learn(max(0, spent[0] - spent[1]) + spent[2])
        self.seconds.observe(max(0.0, (datetime.now(UTC) - refreshed.request.requested_at).total_seconds()))

    def summary(self) -> dict[str, float]:
        """The counters that the health page and the demo show."""
        return {
            "requests": _value(self.requests),
            "written": _value(self.ends.labels(RefreshEnd.WRITTEN.value)),
            "no_newer_record": _value(self.ends.labels(RefreshEnd.NO_NEWER_RECORD.value)),
            "llm_calls": _value(self.calls),
            "recorded": _value(self.recorded),
            "tokens_in": _value(self.tokens.labels("in")),
            "tokens_cached": _value(self.tokens.labels("cached")),
            "tokens_out": _value(self.tokens.labels("out")),
            "dead_letters": sum(
                sample.value
                for metric in self.dead_letters.collect()
                for sample in metric.samples
                if sample.name.endswith("_total")
            ),
        }


def _value(counter: Counter) -> float:
    return sum(
        sample.value for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total")
    )
