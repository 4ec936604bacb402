"""How many refreshes may start now: tokens a minute as a bucket. Pure: the time is passed in."""


class TokenBudget:
    """A bucket that holds at most one minute's tokens and refills evenly.

    What a refresh costs is learnt from what the last ones cost (an exponential mean that starts at `estimate`), so
    that recorded knowledge, which costs nothing, is soon limited by `at_most` alone.
    """

    def __init__(self, tokens_per_minute: float, estimate: float, at_most: int = 500) -> None:
        self._rate = tokens_per_minute / 60
        self._full = self._tokens = max(tokens_per_minute, estimate)
        self._cost = estimate
        self._at_most = at_most
        self._at: float | None = None

    @property
    def cost(self) -> float:
        """Tokens that one refresh is expected to cost."""
        return self._cost

    def allows(self, now: float) -> int:
        """How many refreshes may start at `now` (seconds, of a clock that may jump)."""
        if self._at is not None:
            # A Redis failover may set the clock back: that must neither drain nor fill the bucket.
            self._tokens = min(self._full, self._tokens + self._rate * max(0.0, now - self._at))
        self._at = now
        return int(min(self._at_most, self._tokens // max(self._cost, 1.0)))

    def spend(self, refreshes: int) -> None:
        """So many were started."""
        self._tokens = max(0.0, self._tokens - refreshes * self._cost)

    def learn(self, tokens: float) -> None:
        """One refresh cost `tokens`."""
        self._cost += 0.1 * (tokens - self._cost)
