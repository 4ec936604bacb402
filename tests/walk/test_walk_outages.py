"""Services stop or are killed while everything else goes on; nothing is lost, and answers say how old they are."""

import os
import signal
import threading
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from knowledge.base import Action, BehaviorEvent, TransientError
from reki.stack.control import failures
from streams.await_applied import Applied, Tier
from tests.walk.world import TIMEOUT_S, wait_until

pytestmark = [
    pytest.mark.services,
    # kafka-python leaves the sockets of refused connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_triton_answers_with_its_age_while_llm_and_broker_are_down(world, lived):
    if not world.is_kafka:
        pytest.skip("the last-resort broker keeps its topics in memory: it cannot be stopped and come back")
    user_id = world.cast.steady[8]
    first, second, third = world.cast.later(user_id, 3)
    world.publish(first)
    before = world.recommend(user_id)
    impatient = world.new_producer(timeout_s=2.0)
    pids = {name: world.stack.pid(name) for name in ("stream", "refresh", "triton")}
    world.stack.stop("llm")
    world.stack.stop("broker")
    stopped = time.monotonic()
    try:
        with pytest.raises(TransientError):
            impatient.publish(second)
        during = before
        while time.monotonic() < stopped + 6:
            during = world.recommend(user_id)
            assert np.array_equal(during.scores, before.scores)
            time.sleep(0.3)
        assert during.history_age_s > before.history_age_s + 4
        assert during.knowledge_age_s > before.knowledge_age_s + 4
    finally:
        impatient.close()
        world.stack.up(only=["llm", "broker"])
    world.stack.wait_ready("stream")
    world.stack.wait_ready("refresh")
    world.producer.publish(second)  # the same event again: whether or not the first try arrived, it counts once
    wait_until(lambda: world.states.read(user_id).find(second.event_id), what="the event of the outage")
    world.publish(third)
    after = world.recommend(user_id)
    assert not np.array_equal(after.scores, before.scores)
    assert after.history_age_s < 5
    assert after.events_since_knowledge == 3
    assert failures(world.stack.run_dir) == {}
    assert {name: world.stack.pid(name) for name in pids} == pids, "an outage is waited out, not died of"


def test_a_stream_worker_that_is_killed_comes_back_and_every_event_counts_once(world):
    users = [f"crowd-{number}" for number in range(100)]  # below the threshold each: nobody needs an LLM
    items = list(world.cast.sample.data.items)
    events = [
        BehaviorEvent(
            event_id=f"crowd:{number}",
            user_id=users[number % len(users)],
            item_id=items[number % len(items)],
            action=Action.RATE,
            value=float(1 + number % 5),
            occurred_at=datetime.now(UTC),
        )
        for number in range(800)
    ]
    published = []

    def publish():
        for start in range(0, len(events), 20):
            published.extend(world.producer.publish_many(events[start : start + 20]))
            time.sleep(0.05)

    def applied():
        return sum(state.rev for state in world.states.read_many(users) if state)

    victim = world.stack.pid("stream")
    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        wait_until(lambda: applied() > 200, what="200 applied events")
        os.kill(victim, signal.SIGKILL)
        at_kill = applied(), len(published)
    finally:
        publisher.join(TIMEOUT_S)
    assert at_kill[0] < len(events), f"the kill missed the middle: (applied, published) = {at_kill}"
    assert at_kill[1] < len(events), f"the kill missed the middle: (applied, published) = {at_kill}"
    assert len(published) == len(events)
    for token in published:
        assert isinstance(world.waiter.wait(token, Tier.EXPERIENCED, TIMEOUT_S), Applied)
    assert world.stack.pid("stream") not in {None, victim}
    for user_id in users:
        state = world.states.read(user_id)
        own = [event.event_id for event in events if event.user_id == user_id]
        assert (state.rev, [entry.event_id for entry in state.ring]) == (len(own), own)
        assert world.read("user_history", user_id)["history_rev"] == len(own)
    world.stack.wait_ready("stream")
    assert failures(world.stack.run_dir) == {}
