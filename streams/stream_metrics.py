"""What the stream worker counts, for `/metrics` and the health page."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class StreamMetrics:
    """Prometheus metrics of one stream worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.events = Counter(
            "reki_stream_events", "Events by outcome (applied, duplicate, replayed).", ["outcome"], registry=registry
        )
        self.dead_letters = Counter(
            "reki_stream_dead_letters", "Records given up, by reason.", ["reason"], registry=registry
        )
        self.forgotten = Counter("reki_stream_forgotten", "Users forgotten.", registry=registry)
        self.batch_seconds = Histogram(
            "reki_stream_batch_seconds", "One micro-batch.", buckets=_SECONDS, registry=registry
        )
        self.settle_seconds = Histogram(
            "reki_stream_settle_seconds", "Wait for Redis' fsync before a commit.", buckets=_SECONDS, registry=registry
        )
        self.visible_seconds = Histogram(
            "reki_stream_visible_seconds",
            "From the record's time on the broker to its rows being readable.",
            buckets=(*_SECONDS, 10, 60),
            registry=registry,
        )
        self.lag = Gauge(
            "reki_stream_lag", "Records behind the newest, per partition.", ["partition"], registry=registry
        )
        self.retreats = Gauge(
            "reki_stream_retreats", "Times the worker went back to its committed offsets.", registry=registry
        )

    def count(self, outcome: str, number: int = 1) -> None:
        """Count events by outcome."""
        self.events.labels(outcome).inc(number)

    def totals(self) -> dict[str, int]:
        """Events by outcome so far, with `dead_letters` and `forgotten`."""
        result = {"dead_letters": 0, "forgotten": 0}
        for metric in (self.events, self.dead_letters, self.forgotten):
            for family in metric.collect():
                for sample in family.samples:
                    if sample.name == "reki_stream_events_total":
                        result[sample.labels["outcome"]] = int(sample.value)
                    elif sample.name == "reki_stream_dead_letters_total":
                        result["dead_letters"] += int(sample.value)
                    elif sample.name == "reki_stream_forgotten_total":
                        result["forgotten"] = int(sample.value)
        return result
