"""Refresh workers that crash, and one on the last-resort broker: nothing lost, nothing paid twice."""

import json
import signal

import pytest

from streams.await_applied import Applied, Tier
from tests.streams_refresh.llm_double import llm_double
from tests.streams_refresh.worker_env import Env, wait_until

pytestmark = pytest.mark.services


@pytest.fixture
def env(kafka, valkey, tmp_path):
    with llm_double() as llm:
        made = Env(kafka.bootstrap, valkey.url, tmp_path, llm)
        yield made
        made.close()


# Point, at which passing: the first belongs to the user whom the crash before has left unfinished.
# The two windows between (offline rows written, state noted) are crashed in test_refresher_crashes, without a process.
CRASHES = {"a": ("R1", 1), "b": ("R2", 2), "c": ("R5", 1)}


def test_no_crash_pays_a_call_twice_or_loses_a_refresh(env):
    """Each worker finishes what the one before left behind, then crashes at the next point with the next user."""
    env.settings = env.settings.model_copy(update={"refresh_deadline_s": 300.0})
    left = ""
    for name, (point, passing) in CRASHES.items():
        worker = env.start(fault_point=point, fault_after=passing)
        if left:
            wait_until(lambda who=left: env.refreshed(who, 13), 60, f"{left}'s refresh")
        env.behave(name, 3)
        assert worker.wait(60) == 9, env.logs()
        if point == "R1":
            env.behave(name, 1)  # later events must not change the question that is asked again
        left = name
    last = env.start()
    wait_until(lambda: env.refreshed(left, 13), 60, f"{left}'s refresh")
    wait_until(env.committed, what="the commit")
    users = list(CRASHES)
    assert env.reader.revs("user_knowledge", users) == [13] * len(users)
    assert env.reader.revs("user_expected", users, "blue") == [13] * len(users)
    times = env.reader.event_times("user_expected", users, "blue")
    for name, time_online in zip(users, times, strict=True):
        rows = env.offline_rows(name, 13)
        assert {row["event_timestamp"] for row in rows} == {time_online}, name
    updates = {json.loads(r.value)["entity_id"] for r in env.records(env.names.feature_updates)}
    assert updates == set(users)
    assert env.records(env.names.dead_letters) == []
    assert env.llm.calls == len(users), env.llm.prompts
    last.send_signal(signal.SIGTERM)
    assert last.wait(30) == 0, env.logs()


def test_the_walk_on_the_last_resort_broker(last_resort_broker, valkey, tmp_path):
    with llm_double() as llm:
        env = Env(last_resort_broker.bootstrap, valkey.url, tmp_path, llm, last_resort=True)
        try:
            env.start()
            token = env.behave("a", 3)
            assert isinstance(env.waiter.wait(token, Tier.INDIVIDUAL, 60), Applied), env.logs()
            assert llm.calls == 1
        finally:
            env.close()
