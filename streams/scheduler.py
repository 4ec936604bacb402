"""The scheduler: takes due users within the token budget and publishes refresh requests.

Runs in every refresh worker; a short lease lets one of them act. It decides again on the state of the moment, so that
a burst still going on is waited out and a user refreshed meanwhile is let go.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from redis import Redis

from knowledge.base import TransientError, from_micros, micros
from streams.budget import TokenBudget
from streams.due import DueSet, DueUser
from streams.faults import Faults
from streams.leader import Leader
from streams.policy import Decision, decide
from streams.redis_time import redis_micros
from streams.requests import RefreshRequest
from streams.settings import StreamSettings
from streams.state import UserState
from streams.store import StateStore

log = logging.getLogger(__name__)

# How long a taken user may stay unpublished before someone else may take them.
_PUBLISH_LEASE_S = 10.0


@dataclass
class SchedulerMetrics:
    """Counts since the start of the process."""

    leading: bool = False
    taken: int = 0
    published: int = 0
    postponed: int = 0
    let_go: int = 0
    errors: int = 0


@dataclass
class _Plan:
    """What one tick found out, before anything is published."""

    requests: list[RefreshRequest] = field(default_factory=list)
    updates: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)


class Scheduler:
    """`run()` until cancelled. `publish` returns when the broker has acknowledged the request.

    Everything that talks to Redis runs on `executor` (one thread), off the event loop.
    """

    def __init__(
        self,
        redis: Redis,
        store: StateStore,
        due: DueSet,
        settings: StreamSettings,
        publish: Callable[[RefreshRequest], Awaitable[None]],
        budget: TokenBudget,
        executor: Executor,
        faults: Faults | None = None,
    ) -> None:
        self._redis = redis
        self._store = store
        self._due = due
        self._settings = settings
        self._publish = publish
        self._budget = budget
        self._executor = executor
        self._faults = faults or Faults()
        self._leader = Leader(redis, f"{due.keys[0]}:leader")
        self.metrics = SchedulerMetrics()

    async def run(self) -> None:
        """Tick for ever. Trouble with Redis or the broker is logged, and tried again a little later."""
        loop = asyncio.get_running_loop()
        failures = 0
        try:
            while True:
                try:
                    await self.tick()
                    failures = 0
                except TransientError as error:
                    failures += 1
                    self.metrics.errors += 1
                    if failures in (1, 10, 100):  # an outage is worth a line, not a line per tick
                        log.warning("scheduler: %s (failure %d in a row; trying on)", error, failures)
                await asyncio.sleep(self._settings.refresh_tick_s * min(25, 1 + failures))
        finally:
            if self.metrics.leading:
                await asyncio.shield(loop.run_in_executor(self._executor, self._give_up))

    async def tick(self) -> int:
        """Take who is due, publish a request for each who still is. Returns how many were published."""
        loop = asyncio.get_running_loop()
        plan = await loop.run_in_executor(self._executor, self._look)
        results = await asyncio.gather(*map(self._send, plan.requests), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result  # its user's lease runs out and brings the user back
        return len(plan.requests)

    async def _send(self, request: RefreshRequest) -> None:
        self._faults.hit("R5-before-publish")
        await self._publish(request)
        self._faults.hit("R5")
        await asyncio.get_running_loop().run_in_executor(self._executor, self._published, request)

    def _give_up(self) -> None:
        try:
            self._leader.release()
        except TransientError as error:
            log.warning("scheduler: the lease runs out by itself (%s)", error)

    def _now(self) -> datetime:
        return from_micros(redis_micros(self._redis))

    def _look(self) -> _Plan:
        self.metrics.leading = self._leader.hold()
        if not self.metrics.leading:
            return _Plan()
        now = self._now()
        taken = self._due.pop_due(None, self._budget.allows(now.timestamp()), _PUBLISH_LEASE_S)
        if not taken:
            return _Plan()
        self.metrics.taken += len(taken)
        states = self._store.read_many([one.user_id for one in taken])
        plan = self._plan(taken, states, now)
        if plan.updates:
            self._store.update_many(plan.updates)
        self._budget.spend(len(plan.requests))
        return plan

    def _plan(self, taken: Sequence[DueUser], states: Sequence[UserState | None], now: datetime) -> _Plan:
        plan = _Plan()
        for one, state in zip(taken, states, strict=True):
            if state is None or state.forgotten:
                self._due.forget(one.user_id)
                continue
            decision = decide(state, now, self._settings, one.drift)
            if decision.not_before is not None and decision.not_before > now:
                self._due.postpone(one.user_id, decision.not_before)
                self.metrics.postponed += 1
            elif not decision.due:
                self._due.done(one.user_id)
                self.metrics.let_go += 1
            if not decision.due:
                # Whoever waits for this user's individual knowledge learns that it will not come for these events.
                plan.updates.append((state.user_id, state.epoch, {"decision": decision_row(state, decision)}))
            elif decision.not_before is not None and decision.not_before <= now:
                plan.requests.append(
                    RefreshRequest(
                        user_id=state.user_id,
                        source_rev=state.rev,
                        epoch=state.epoch,
                        requested_at=now,
                        reason=decision.reason,
                        drift=one.drift,
                    )
                )
        return plan

    def _published(self, request: RefreshRequest) -> None:
        self._due.requested(request.user_id, request.source_rev, self._settings.refresh_deadline_s)
        self._store.update(
            request.user_id,
            request.epoch,
            requested_rev=request.source_rev,
            requested_at=micros(request.requested_at),
        )
        self.metrics.published += 1


def decision_row(state: UserState, decision: Decision) -> dict[str, Any]:
    """The state's field `decision`: what the policy last said, and about which revision."""
    return {"rev": state.rev, "due": decision.due, "reason": decision.reason}
