"""One refresh worker as a process on a real broker and a real Valkey: outages, refusals, coalescing."""

import json
import time
import urllib.request

import pytest

from streams.await_applied import Applied, NotChanged, Tier
from tests.streams_refresh.llm_double import llm_double
from tests.streams_refresh.worker_env import Env, health, wait_until

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def running(kafka, valkey, tmp_path_factory):
    """One worker for the tests that do not kill it; each uses users of its own."""
    from reki.embedded.ports import draw

    with llm_double() as llm:
        made = Env(kafka.bootstrap, valkey.url, tmp_path_factory.mktemp("refresh"), llm)
        made.port = draw()[0]
        made.start(refresh_health_port=made.port)
        wait_until(lambda: health(made.port)[0] == 200, 40, "the worker")
        yield made
        made.close()


def test_a_changed_user_gets_new_knowledge_and_an_unchanged_one_does_not(running):
    changed, unchanged = running.behave("a", 3), running.behave("b", 2)
    applied = running.waiter.wait(changed, Tier.INDIVIDUAL, 30)
    assert isinstance(applied, Applied)
    assert applied.rev == 13
    assert running.waiter.wait(unchanged, Tier.INDIVIDUAL, 5) == NotChanged("2 new events, 3 needed", 12)
    wait_until(lambda: running.refreshed("a", 13), what="the note in the state")
    assert running.llm.calls == 1
    assert running.reader.revs("user_expected", ["a", "b"], "blue") == [13, 10]
    [row] = running.reader.read("user_knowledge", ["a"])
    assert row["knowledge_model"] == "double"
    assert running.store.read("b").decision["reason"] == "2 new events, 3 needed"
    [written] = running.offline_rows("a", 13)
    assert [written["event_timestamp"]] == running.reader.event_times("user_expected", ["a"], "blue")
    [update] = [json.loads(record.value) for record in running.records(running.names.feature_updates)]
    assert (update["entity_id"], update["source_rev"]) == ("a", 13)
    [request] = running.records(running.names.refresh_requests)
    assert json.loads(request.value)["reason"] == "3 new events, 3 needed"
    wait_until(running.committed, what="the commit")
    assert running.due.counts().leased == 0
    status, page = health(running.port)
    assert (status, page["progress"]["llm_calls"], page["progress"]["written"]) == (200, 1, 1)
    assert page["progress"]["tokens_in"] == 100
    assert page["scheduler"]["published"] == 1
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/metrics", timeout=2) as answer:
        assert 'reki_llm_calls_total{purpose="user"} 1.0' in answer.read().decode().splitlines()


def test_an_llm_that_is_away_is_waited_for_and_nothing_is_lost(running):
    running.llm.mode = "down"
    before = running.llm.calls
    running.behave("c", 3)
    wait_until(lambda: running.llm.calls >= before + 2, what="a second attempt")
    assert running.refreshed("c", 10)
    assert running.reader.revs("user_expected", ["c"], "blue") == [10]
    assert health(running.port)[0] == 200  # waiting is not being ill: it still polls
    running.llm.mode = "ok"
    wait_until(lambda: running.refreshed("c", 13), what="the refresh after the outage")
    assert [r for r in running.records(running.names.dead_letters) if r.key == b"c"] == []


def test_an_answer_that_is_cut_becomes_a_dead_letter_and_the_next_user_is_served(running):
    running.llm.mode = "cut"
    token = running.behave("d", 3)
    outcome = wait_until(lambda: running.store.read("d").refresh_outcome, what="the outcome")
    running.llm.mode = "ok"
    assert (outcome["source_rev"], outcome["reason"]) == (13, "answer_cut")
    assert running.waiter.wait(token, Tier.INDIVIDUAL, 5) == NotChanged("answer_cut", 13)
    assert running.reader.revs("user_expected", ["d"], "blue") == [10]
    letters = running.records(running.names.dead_letters)
    assert b"answer_cut" in [dict(letter.headers)["reason"] for letter in letters]
    running.behave("e", 3)
    wait_until(lambda: running.refreshed("e", 13), what="the next user's refresh")
    running.behave("d", 1)
    wait_until(lambda: running.refreshed("d", 14), what="the refused user's next chance")


def test_a_poison_request_becomes_a_dead_letter_and_the_partition_moves_on(running):
    running.send(running.names.refresh_requests, b"f", b"{not json")
    running.send(running.names.refresh_requests, b"f", None)
    running.behave("f", 3)
    wait_until(lambda: running.refreshed("f", 13), what="the refresh behind the poison")
    letters = [r for r in running.records(running.names.dead_letters) if r.value == b"{not json"]
    assert len(letters) == 1
    assert dict(letters[0].headers)["reason"] == b"bad_request"
    wait_until(running.committed, what="the commit past the poison")


def test_requests_during_a_run_become_one_more_run(running):
    before = running.llm.calls
    running.llm.gate.clear()
    running.behave("g", 3)
    wait_until(lambda: running.llm.calls == before + 1, what="the first call")
    for _ in range(3):
        running.behave("g", 1)
        running.request("g")
    time.sleep(0.5)
    running.llm.gate.set()
    wait_until(lambda: running.refreshed("g", 16), what="the rerun")
    wait_until(running.committed, what="the commit")
    assert running.llm.calls == before + 2
    assert running.reader.revs("user_knowledge", ["g"]) == [16]


def test_profiles_and_items_reach_state_and_online_store(running):
    running.send(running.names.items, b"900", b'{"item_id": "900", "title": "New Film", "fields": {"year": "2026"}}')
    running.send(running.names.items, b"901", b"[]")
    running.send(running.names.profiles, b"h", b'{"user_id": "h", "fields": {"age": "31"}}')
    running.send(running.names.profiles, b"new", b'{"user_id": "new", "fields": {"age": "20"}}')
    wait_until(lambda: running.store.read("new"), what="the new user's profile")
    wait_until(lambda: running.store.read("h").profile == {"age": "31"}, what="the changed profile")
    row = wait_until(lambda: running.reader.read("item_profile", ["900"])[0], what="the item")
    assert row["item_title"] == "New Film"
    assert running.store.read("new").profile == {"age": "20"}
    wait_until(
        lambda: [r for r in running.records(running.names.dead_letters) if r.value == b"[]"], what="the dead letter"
    )
    running.send(running.names.items, b"900", None)
    wait_until(lambda: running.reader.read("item_profile", ["900"]) == [None], what="the withdrawal")
