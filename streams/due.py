"""The due set: users waiting for new knowledge, in Redis, shared by all workers.

A mark survives everything between the decision and the answer (window R5 of the crash table): taking it only leases
it, the lease is extended when the broker has acknowledged the request, and a lease that runs out makes the user due
again. A mark that arrives while a request is open waits for its answer. A mark is a hint to look, not an order: the
scheduler decides again on the newest state when it takes one, so marking twice, early or for nothing is harmless,
and losing one is what must not happen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any

from redis.commands.core import Script

from knowledge.base import micros
from streams.redis_calls import redis_errors
from streams.redis_time import redis_micros

if TYPE_CHECKING:
    from redis import Redis

_MICROS = 1_000_000
# Looked at per pop: sorting by drift stays cheap however long the queue is.
_WINDOW = 1_000


@dataclass(frozen=True)
class DueUser:
    """A user taken from the set. `due_at`: seconds since 1970 (Redis clock); `drift`: as marked, None = unknown."""

    user_id: str
    due_at: float
    drift: float | None


@dataclass(frozen=True)
class Mark:
    """One user to mark: look at them at `when` or later. `drift` orders users when the budget is short."""

    user_id: str
    when: datetime
    drift: float | None = None


@dataclass(frozen=True)
class DueCounts:
    """`due`: their time has come, `later`: not yet, `leased`: being asked about, `waiting`: marked meanwhile."""

    due: int
    later: int
    leased: int
    waiting: int


class DueSet:
    """Marks, leases and deadlines. Synchronous, one round trip a call; safe with any number of processes.

    All keys share one hash tag, so that one Lua call may touch them in a cluster. Redis trouble raises
    `TransientError`.
    """

    def __init__(self, redis: "Redis", namespace: str, *, patience_s: float = 600.0) -> None:
        self._redis = redis
        base = f"{{{namespace}:due}}"
        self.keys = (base, f"{base}:drift", f"{base}:leases", f"{base}:waiting", f"{base}:revs")
        self._patience_s = patience_s

    @cached_property
    def _script(self) -> Script:
        return self._redis.register_script(resources.files("streams").joinpath("due.lua").read_text("utf-8"))

    def _call(self, *args: str | float) -> Any:  # noqa: ANN401 - whatever the operation returns
        with redis_errors():
            return self._script(keys=list(self.keys), args=list(args))

    def mark(self, user_id: str, when: datetime, drift: float | None = None) -> None:
        """Have `user_id` looked at from `when` on; an earlier mark stays, the drift is the newest."""
        self.mark_many([Mark(user_id, when, drift)])

    def mark_many(self, marks: Iterable[Mark]) -> None:
        """`mark` for a whole micro-batch in one round trip."""
        due, moved = self.keys[:2]
        pipe = self._redis.pipeline(transaction=False)
        for mark in marks:
            if mark.drift is not None:
                pipe.zadd(moved, {mark.user_id: mark.drift})
            pipe.zadd(due, {mark.user_id: micros(mark.when) / _MICROS}, lt=True)
        with redis_errors():
            pipe.execute()

    def pop_due(self, now: datetime | None, budget: int, lease_s: float = 10.0) -> list[DueUser]:
        """Take at most `budget` users whose time has come, largest drift first, and lease each for `lease_s`.

        `now=None` is the Redis clock (live operation). Users whose lease ran out are due again. Users who have
        waited longer than the patience go before all others, so that small drifts are not starved.
        """
        if budget <= 0:
            return []
        at = "" if now is None else f"{micros(now) / _MICROS:.6f}"
        flat = [_text(one) for one in self._call("pop", at, budget, lease_s, self._patience_s, _WINDOW)]
        return [
            DueUser(user, float(due_at), float(drift) if drift else None)
            for user, due_at, drift in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        ]

    def requested(self, user_id: str, source_rev: int, deadline_s: float) -> None:
        """The broker acknowledged the request for `source_rev`: wait `deadline_s` for its answer."""
        self._call("requested", user_id, source_rev, deadline_s)

    def postpone(self, user_id: str, when: datetime) -> None:
        """Put a taken user back, to be looked at again at `when` (a burst is not over yet)."""
        self._call("postpone", user_id, f"{micros(when) / _MICROS:.6f}")

    def done(self, user_id: str, source_rev: int | None = None) -> None:
        """The request is answered (with knowledge or without). Marks made meanwhile become due.

        With `source_rev` an open request for more events stays open.
        """
        self._call("done", user_id, "" if source_rev is None else source_rev)

    def forget(self, user_id: str) -> None:
        """Remove every trace of `user_id`."""
        self._call("forget", user_id)

    def counts(self) -> DueCounts:
        """How many users are in which part."""
        now = redis_micros(self._redis) / _MICROS
        due, _, leases, waiting, _ = self.keys
        pipe = self._redis.pipeline(transaction=False)
        pipe.zcount(due, "-inf", now)
        pipe.zcard(due)
        pipe.zcard(leases)
        pipe.zcard(waiting)
        with redis_errors():
            ripe, marked, leased, waited = (int(count) for count in pipe.execute())
        return DueCounts(ripe, marked - ripe, leased, waited)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
