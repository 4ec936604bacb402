"""Publishes real ratings to Kafka, one by one, and measures how long each tier takes to show them."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest

from knowledge.base import Action, BehaviorEvent, RekiError
from reki.demo.plan import Rated, Visitor
from streams.await_applied import Applied, AppliedWaiter, NotChanged, Rejected, Tier
from streams.producer import BehaviorProducer
from streams.tokens import BehaviorToken

TIER_TIMEOUT_S = 60.0  # generous: the last-resort broker and a busy machine take their time
Outcome = Applied | NotChanged


@dataclass
class Replayed:
    """What happened. Times in ms, from the call of `publish` to the answer of `await_applied`."""

    published: int = 0
    history_ms: list[float] = field(default_factory=list)
    experienced_ms: list[float] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    knowledge_ms: dict[str, float] = field(default_factory=dict)

    @property
    def changed(self) -> list[str]:
        """Users who got new knowledge."""
        return [user for user, outcome in self.outcomes.items() if isinstance(outcome, Applied)]


def replay(
    visitors: Sequence[Visitor],
    producer: BehaviorProducer,
    waiter: AppliedWaiter,
    *,
    tick: Callable[[int, int, str], None],
    on_last_event: Callable[[Visitor], None],
    knowledge_timeout_s: float,
) -> Replayed:
    """Publish the visitors' ratings in turns (everybody's first, everybody's second, ...).

    `on_last_event` is called when a visitor's last rating counts in the experienced tier, before new knowledge can
    have been made. Returns when every visitor has new knowledge or the policy's word that there will be none.
    Raises `RekiError` for an event that was refused or did not arrive in time.
    """
    done = Replayed()
    total = sum(len(visitor.replay) for visitor in visitors)
    waiting: dict[str, Future[tuple[Outcome, float]]] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(visitors)), thread_name_prefix="await") as pool:
        for turn in zip_longest(*(visitor.replay for visitor in visitors)):
            for visitor, rated in zip(visitors, turn, strict=True):
                if rated is None:
                    continue
                number = visitor.replay.index(rated) + 1
                began = time.monotonic()
                token = producer.publish(_event(visitor.user_id, number, rated))
                done.published += 1
                _wait(waiter, token, Tier.HISTORY)
                done.history_ms.append((time.monotonic() - began) * 1000)
                _wait(waiter, token, Tier.EXPERIENCED)
                done.experienced_ms.append((time.monotonic() - began) * 1000)
                tick(done.published, total, f"user {visitor.user_id}: {number} of {len(visitor.replay)}")
                if number == len(visitor.replay):
                    waiting[visitor.user_id] = pool.submit(_knowledge, waiter, token, began, knowledge_timeout_s)
                    on_last_event(visitor)
        for user, future in waiting.items():
            tick(total, total, f"waiting for the knowledge of user {user}")
            done.outcomes[user], waited_s = future.result()
            if isinstance(done.outcomes[user], Applied):
                done.knowledge_ms[user] = waited_s * 1000
    return done


def _event(user_id: str, number: int, rated: Rated) -> BehaviorEvent:
    return BehaviorEvent(
        event_id=f"demo:{user_id}:{number}",
        user_id=user_id,
        item_id=rated.item_id,
        action=Action.RATE,
        value=rated.value,
        occurred_at=rated.at,
    )


def _wait(waiter: AppliedWaiter, token: BehaviorToken, tier: Tier) -> None:
    answer = waiter.wait(token, tier, TIER_TIMEOUT_S)
    if not isinstance(answer, Applied):
        raise RekiError("refused", f"event {token.event_id} of user {token.user_id} does not count: {answer.reason}")


def _knowledge(waiter: AppliedWaiter, token: BehaviorToken, began: float, timeout_s: float) -> tuple[Outcome, float]:
    answer = waiter.wait(token, Tier.INDIVIDUAL, timeout_s)
    if isinstance(answer, Rejected):
        raise RekiError("refused", f"event {token.event_id} of user {token.user_id} does not count: {answer.reason}")
    return answer, time.monotonic() - began


def merged(parts: Sequence[Replayed]) -> Replayed:
    """Several replays as one."""
    whole = Replayed()
    for part in parts:
        whole.published += part.published
        whole.history_ms += part.history_ms
        whole.experienced_ms += part.experienced_ms
        whole.outcomes |= part.outcomes
        whole.knowledge_ms |= part.knowledge_ms
    return whole
