"""A circuit breaker: a server that fails again and again is left alone for a while, then tried with one call."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from knowledge.base import Clock, TransientError


class CircuitBreaker:
    """Closed until `failures` come in a row; open for `open_s` seconds; then half open: one probe decides."""

    def __init__(self, clock: Clock, failures: int, open_s: float) -> None:
        self._clock = clock
        self._limit = failures
        self._open_for = timedelta(seconds=open_s)
        self._failures = 0
        self._opened_at: datetime | None = None
        self._probing = False
        self._last_failure = ""

    @property
    def is_open(self) -> bool:
        """Whether the server counts as down (also while a probe is under way)."""
        return self._opened_at is not None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around one call. The body reports with `succeeded` or `failed`; neither (cancelled) changes nothing.

        Raises:
            TransientError: `llm_circuit_open`, with the time until the next probe, without running the body.
        """
        probe = self._opened_at is not None
        if probe:
            self._refuse_unless_due()
            self._probing = True
        try:
            yield
        finally:
            if probe:
                self._probing = False

    def succeeded(self) -> None:
        """The server answered (whether the answer was any good is another matter)."""
        self._failures = 0
        self._opened_at = None

    def failed(self, reason: str) -> None:
        """The server did not answer, or said that it cannot; `reason` is told to whoever is refused later."""
        self._last_failure = reason
        self._failures += 1
        # A failed probe opens again at once: the count is still at the limit.
        if self._failures >= self._limit:
            self._opened_at = self._clock.now()

    def _refuse_unless_due(self) -> None:
        now = self._clock.now()
        opened_at = self._opened_at or now
        # A clock that was set back must not keep the circuit open for as long.
        left = self._open_for - (now - opened_at) if now >= opened_at else timedelta()
        if left > timedelta() or self._probing:
            raise TransientError(
                "llm_circuit_open",
                f"the LLM server failed {self._failures} times in a row (last: {self._last_failure}) and is left alone "
                "for now",
                retry_after_s=max(left.total_seconds(), 1.0),
            )
