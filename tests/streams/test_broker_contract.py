"""What we need of a broker, held against Apache Kafka and against the last resort."""

import time

import pytest
from kafka import KafkaConsumer, TopicPartition

from streams.await_applied import Applied, Rejected, Tier
from streams.topic_admin import admin_client, ensure_topics
from tests.streams.replay import assert_equals_replay, write_item_vectors
from tests.streams.test_walk import publish_raw
from tests.streams.world import event, make_streams, wait_until

pytestmark = pytest.mark.services


@pytest.fixture(params=["kafka", "last_resort_broker"])
def streams(request, valkey, nursery, tmp_path):
    broker = request.getfixturevalue(request.param)
    last_resort = request.param == "last_resort_broker"
    made = make_streams(
        broker.bootstrap,
        valkey,
        tmp_path,
        nursery,
        kafka_last_resort=last_resort,
        # Tansu answers fetches late; a short session would end between two heartbeats.
        kafka_session_timeout_s=6.0 if last_resort else 1.5,
    )
    yield made
    made.close()


def first_letter(streams):
    """The first dead letter, read without end offsets (the last resort's are wrong)."""
    consumer = KafkaConsumer(bootstrap_servers=streams.settings.kafka_bootstrap)
    try:
        place = TopicPartition(f"{streams.features.namespace}.dead-letters", 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        return wait_until(lambda: [r for b in consumer.poll(500).values() for r in b], 10, "a dead letter")[0]
    finally:
        consumer.close()


def test_topics_ids_offsets_groups_and_dead_letters(streams):
    write_item_vectors(streams)
    assert ensure_topics(streams.settings, streams.features.namespace, streams.client) == streams.topic_ids
    assert all(streams.topic_ids.values())
    assert len(set(streams.topic_ids.values())) == 7
    first = streams.start()
    with streams.producer() as producer:
        events = [event(f"u{k % 3}", k) for k in range(30)]
        published = list(zip(events, producer.publish_many(events), strict=True))
        by_partition = {}
        for _, token in published:
            by_partition.setdefault(token.partition, []).append(token.offset)
        assert all(offsets == list(range(len(offsets))) for offsets in by_partition.values())
        for _, token in published[-3:]:
            assert isinstance(streams.waiter.wait(token, Tier.EXPERIENCED, 30), Applied)
        poison = publish_raw(streams, b"u0", b"\xff")
        assert streams.waiter.wait(poison, timeout_s=15) == Rejected("bad_json")
        letter = first_letter(streams)
        assert letter.value == b"\xff"
        assert dict(letter.headers)["reason"] == b"bad_json"
        wait_until(lambda: first.health()[1]["progress"]["commits"] > 0, what="a commit")
        time.sleep(1.0)
        assert first.stop() == 0
        # The group's offsets outlive its member: nothing is read a second time.
        more = [event(f"u{k % 3}", k) for k in range(30, 36)]
        published += list(zip(more, producer.publish_many(more), strict=True))
        second = streams.start()
        for _, token in published[-3:]:
            assert isinstance(streams.waiter.wait(token, Tier.EXPERIENCED, 30), Applied)
        progress = second.health()[1]["progress"]
        assert (progress["applied"], progress.get("replayed", 0)) == (6, 0)
        assert second.stop() == 0
    # The poison record has moved nothing in its user's state.
    assert_equals_replay(streams, published)


def test_a_recreated_topic_begins_a_new_offset_line(kafka, valkey, nursery, tmp_path):
    streams = make_streams(kafka.bootstrap, valkey, tmp_path, nursery)
    behavior = f"{streams.features.namespace}.behavior"
    try:
        worker = streams.start()
        with streams.producer() as producer:
            token = producer.publish_many([event("u", k) for k in range(5)])[-1]
            streams.waiter.wait(token, timeout_s=20)
        assert worker.stop() == 0
        with admin_client(streams.settings) as admin:
            admin.delete_topics([behavior])
        wait_until(
            lambda: (
                ensure_topics(streams.settings, streams.features.namespace, streams.client)[behavior] != token.topic_id
            ),
            what="a new topic",
        )
        streams.start()
        with streams.producer() as producer:
            again = producer.publish(event("u", 9))
            assert again.offset < token.offset
            assert streams.waiter.wait(again, timeout_s=20).rev == 6
    finally:
        streams.close()


def test_a_log_shorter_than_what_was_applied_stops_the_worker_with_a_plain_message(kafka, valkey, nursery, tmp_path):
    streams = make_streams(kafka.bootstrap, valkey, tmp_path, nursery, behavior_partitions=1)
    try:
        namespace = streams.features.namespace
        streams.client.hset(f"{namespace}:applied", f"{streams.topic_ids[f'{namespace}.behavior']}:0", 100)
        worker = streams.start()
        with streams.producer() as producer:
            producer.publish(event("u", 1))
        assert worker.wait(20) == 70
        assert "has lost events" in worker.log.read_text().replace("\n", " ")
    finally:
        streams.close()
