"""The walk of one event through a running stream worker, and what a user of it is told."""

import time
from dataclasses import replace

import pytest
from kafka import KafkaProducer

from feature_repo.records import EntityWrite, FeatureRow
from knowledge.base import TerminalError, TransientError
from streams.await_applied import Applied, NotAppliedInTimeError, NotChanged, Rejected, Tier, await_applied
from streams.control import ROLL_OUT, RollOut, missing_acks
from streams.due import DueSet
from streams.producer import BehaviorProducer
from streams.tokens import BehaviorToken
from tests.streams.replay import offline_rows, write_item_vectors
from tests.streams.world import event, make_streams, wait_until

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def walk(kafka, valkey, nursery, tmp_path_factory):
    """A namespace with one partition and a running, healthy worker."""
    made = make_streams(kafka.bootstrap, valkey, tmp_path_factory.mktemp("walk"), nursery, behavior_partitions=1)
    write_item_vectors(made)
    made.worker = made.start()
    wait_until(lambda: made.worker.health()[0] == 200, 30, "a healthy worker")
    yield made
    made.close()


@pytest.fixture(scope="module")
def producer(walk):
    with walk.producer() as made:
        yield made


def publish_raw(walk, key, value):
    raw = KafkaProducer(bootstrap_servers=walk.settings.kafka_bootstrap)
    try:
        placed = raw.send(f"{walk.features.namespace}.behavior", key=key, value=value).get(10)
    finally:
        raw.close()
    return BehaviorToken(key.decode(), "", placed.partition, placed.offset, "raw")


def test_an_event_is_readable_within_milliseconds_of_its_acknowledgement(walk, producer):
    waits = []
    for number in range(30):
        token = producer.publish(event("fast", number))
        waits.append(walk.waiter.wait(token, Tier.EXPERIENCED, 10).waited_s)
        time.sleep(0.02)
    assert sorted(waits)[len(waits) // 2] < 0.1, f"median freshness {sorted(waits)[len(waits) // 2]:.3f} s"


def test_the_public_wait_answers_with_the_events_rev(walk, producer):
    tokens = producer.publish_many([event("plain", 1), event("plain", 2)])
    answer = await_applied(
        tokens[1], "history", 10, redis_url=walk.features.redis_url, namespace=walk.features.namespace
    )
    assert isinstance(answer, Applied)
    assert answer.rev == 2


def test_a_publishers_retry_is_told_that_it_was_a_duplicate(walk, producer):
    first = producer.publish(event("again", 1))
    second = producer.publish(event("again", 1))
    assert walk.waiter.wait(first).rev == 1
    assert walk.waiter.wait(second) == Rejected("duplicate")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "bad_json"),
        (b'{"event_id":"raw","user_id":"other","item_id":"i","action":"view","occurred_at":"2020-01-01T00:00:00Z"}',
         "key_mismatch"),
        (b'{"event_id":"raw","user_id":"poison","item_id":"i","action":"rate","value":9,'
         b'"occurred_at":"2020-01-01T00:00:00Z"}', "bad_value"),
    ],
)  # fmt: skip
def test_a_poison_event_is_rejected_with_its_reason_and_the_partition_moves_on(walk, producer, value, reason):
    token = publish_raw(walk, b"poison", value)
    after = producer.publish(event("poison", token.offset))
    assert walk.waiter.wait(token) == Rejected(reason)
    assert isinstance(walk.waiter.wait(after), Applied)


def test_a_user_who_did_not_change_enough_is_told_why_and_a_changed_one_is_due(walk, producer):
    due = DueSet(walk.client, walk.features.namespace)
    token = producer.publish(event("changing", 1))
    assert walk.waiter.wait(token, Tier.INDIVIDUAL) == NotChanged("1 new event, 5 needed", 1)
    tokens = producer.publish_many([event("changing", n) for n in range(2, 6)])
    assert isinstance(walk.waiter.wait(tokens[-1], Tier.EXPERIENCED), Applied)
    wait_until(lambda: walk.store.read("changing").decision["rev"] == 5, what="the decision of event 5")
    decision = walk.store.read("changing").decision
    assert (decision["due"], decision["reason"]) == (True, "5 new events, 5 needed")
    assert walk.client.zscore(due.keys[0], "changing") is not None
    with pytest.raises(NotAppliedInTimeError) as error:  # nobody refreshes here
        walk.waiter.wait(tokens[-1], Tier.INDIVIDUAL, 0.3)
    assert isinstance(error.value, TimeoutError)


def test_an_event_on_an_unknown_item_counts_once_the_item_has_a_vector(walk, producer):
    token = producer.publish(event("early", 1, item="new-item"))
    walk.waiter.wait(token, Tier.EXPERIENCED)
    assert not walk.reader.read("user_experienced", ["early"], slot="blue")[0]["experienced_vec"].any()
    row = FeatureRow(
        "item_vector", {"item_vec": [1.0] * 144, "item_summary": [0.0] * 32}, 1, release="0123456789ab", slot="blue"
    )
    from feature_repo.writer import FeatureWriter

    FeatureWriter(walk.client, walk.keys).write([EntityWrite("item", "new-item", 0, (row,))])
    time.sleep(walk.settings.vector_cache_miss_ttl_s)
    walk.waiter.wait(producer.publish(event("early", 2, item="unheard-of")), Tier.EXPERIENCED)
    felt = walk.reader.read("user_experienced", ["early"], slot="blue")[0]["experienced_vec"]
    assert felt[:144].tolist() == [1.0] * 144


def test_a_forgotten_user_is_gone_everywhere_and_may_come_back(walk, producer):
    tokens = producer.publish_many([event("gone", n) for n in range(6)])
    walk.waiter.wait(tokens[-1], Tier.EXPERIENCED)
    wait_until(lambda: any(r["user_id"] == "gone" for r in offline_rows(walk, "user_history")), what="offline rows")
    walk.store.update("gone", 0, prompt_hashes=["hash"])
    forgotten = walk.waiter.wait(producer.forget("gone"))
    assert isinstance(forgotten, Applied)
    assert walk.client.hgetall(walk.keys.row_key("user", "gone")) == {}
    stub = walk.store.read("gone")
    assert (stub.forgotten, stub.epoch, stub.rev, stub.ring, stub.prompt_hashes) == (True, 1, 0, (), ("hash",))
    for view in ("user_history", "user_experienced_blue"):
        assert not [r for r in offline_rows(walk, view) if r["user_id"] == "gone"]
    assert walk.client.zscore(DueSet(walk.client, walk.features.namespace).keys[0], "gone") is None
    assert walk.waiter.wait(tokens[0]) == Rejected("forgotten")
    assert walk.waiter.wait(producer.publish(event("gone", 9))).rev == 1
    assert walk.store.read("gone").epoch == 1


def test_a_user_may_be_forgotten_again_and_who_waits_for_no_worker_learns_which_wish_is_open(walk, producer):
    token = producer.publish(event("twice", 1))
    assert isinstance(walk.waiter.wait(token), Applied)
    for _ in range(2):
        token = producer.forget("twice")
        assert isinstance(walk.waiter.wait(token), Applied)
    with pytest.raises(NotAppliedInTimeError, match="the wish to forget user twice was not fulfilled"):
        walk.waiter.wait(replace(token, offset=token.offset + 1), timeout_s=0.1)


def test_both_slots_are_written_from_the_moment_a_worker_acknowledges_a_roll_out(walk, producer):
    opened = RollOut("roll-1", "green", True)
    namespace = walk.features.namespace
    assert missing_acks(walk.client, namespace, opened) != set()
    raw = KafkaProducer(bootstrap_servers=walk.settings.kafka_bootstrap)
    raw.send(f"{namespace}.control", key=ROLL_OUT.encode(), value=opened.encode()).get(10)
    wait_until(lambda: not missing_acks(walk.client, namespace, opened), what="the acknowledgement")
    walk.waiter.wait(producer.publish(event("both", 1)), Tier.EXPERIENCED)
    assert walk.reader.revs("user_experienced", ["both"], "blue") == [1]
    assert walk.reader.revs("user_experienced", ["both"], "green") == [1]
    raw.send(f"{namespace}.control", key=ROLL_OUT.encode(), value=RollOut("roll-1", "green", False).encode()).get(10)
    raw.close()
    closed = RollOut("roll-1", "green", False)
    wait_until(lambda: not missing_acks(walk.client, namespace, closed), what="the second acknowledgement")
    walk.waiter.wait(producer.publish(event("both", 2)), Tier.EXPERIENCED)
    assert walk.reader.revs("user_experienced", ["both"], "green") == [1]


def test_health_shows_assignment_lag_and_progress_and_metrics_count(walk, producer):
    from urllib.request import urlopen

    walk.waiter.wait(producer.publish(event("healthy", 1)))
    status, body = walk.worker.health()
    assert (status, body["healthy"], body["problems"]) == (200, True, [])
    assert body["assignment"] == [f"{walk.features.namespace}.behavior-0"]
    assert body["lag"] == {"0": 0}
    assert body["progress"]["applied"] > 1
    with urlopen(f"http://127.0.0.1:{walk.worker.port}/metrics", timeout=5) as answer:
        assert b'reki_stream_events_total{outcome="applied"}' in answer.read()


def test_a_worker_without_partitions_or_broker_says_that_it_is_not_healthy(walk):
    spare = walk.start()
    lost = walk.start(kafka_bootstrap="127.0.0.1:1", kafka_request_timeout_s=1.0)
    # Which of the two members gets the only partition is the group's business.
    pair = (walk.worker, spare)
    wait_until(lambda: any("no partitions" in str(w.health()[1].get("problems")) for w in pair), 20, "an idle worker")
    wait_until(lambda: sorted(w.health()[0] for w in pair) == [200, 503], 20, "one at work")
    wait_until(lambda: "127.0.0.1:1" in str(lost.health()[1].get("problems")), 20, "a plain word about the broker")
    lost.kill()
    assert spare.stop() == 0
    wait_until(lambda: walk.worker.health()[0] == 200, 20, "the first worker taking all partitions back")


def test_a_missing_topic_or_broker_is_a_clear_error_within_ten_seconds(walk):
    began = time.monotonic()
    with pytest.raises(TerminalError, match=r"nowhere\.behavior does not exist") as missing:
        BehaviorProducer(walk.settings.kafka_bootstrap, "nowhere")
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1") as silent:
        BehaviorProducer("127.0.0.1:1", "nowhere", timeout_s=2.0)
    assert (missing.value.reason, silent.value.reason) == ("no_topic", "broker_unavailable")
    assert time.monotonic() - began < 10
