"""Crash windows E1-E6, E8, E10 and kill -9: afterwards everything equals a single-threaded replay."""

import os
import signal
import threading
import time

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.faults import EXIT_CODE
from tests.streams.replay import assert_equals_replay, write_item_vectors
from tests.streams.world import event, wait_until

pytestmark = pytest.mark.services

# Fault point and at which passing of it, so that earlier batches of the slice got through.
WINDOWS = [("E1", 2), ("E2", 1), ("E3", 2), ("E4", 1), ("E5", 1), ("E5c", 1), ("E6", 1), ("E10", 1)]
POISON = b'{"event_id": "bad"'


def all_handled(streams, tokens):
    """Whether every token's place is behind its user's offset, or was rejected."""
    states = {s.user_id: s for s in streams.store.read_many(sorted({t.user_id for t in tokens})) if s}
    return all(t.user_id in states and states[t.user_id].handled(t.topic_id, t.partition, t.offset) for t in tokens)


def committed_everything(streams):
    """Whether the group's commits have reached the end of the topic."""
    topic = f"{streams.features.namespace}.behavior"
    consumer = KafkaConsumer(
        bootstrap_servers=streams.settings.kafka_bootstrap, group_id=f"{streams.features.namespace}-behavior"
    )
    try:
        places = [TopicPartition(topic, p) for p in range(streams.settings.behavior_partitions)]
        ends = consumer.end_offsets(places)
        return all((consumer.committed(place) or 0) == end for place, end in ends.items())
    finally:
        consumer.close()


def dead_letter_records(streams):
    """Everything on the dead-letter topic."""
    consumer = KafkaConsumer(bootstrap_servers=streams.settings.kafka_bootstrap)
    try:
        place = TopicPartition(f"{streams.features.namespace}.dead-letters", 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end = consumer.end_offsets([place])[place]
        found = []
        while consumer.position(place) < end:
            found += [r for batch in consumer.poll(500).values() for r in batch]
        return found
    finally:
        consumer.close()


def publish_raw(streams, key, value):
    producer = KafkaProducer(bootstrap_servers=streams.settings.kafka_bootstrap)
    try:
        return producer.send(f"{streams.features.namespace}.behavior", key=key, value=value).get(10)
    finally:
        producer.close()


def test_a_crash_in_any_window_leaves_everything_as_a_single_threaded_replay(streams):
    write_item_vectors(streams)
    published, poisoned, number = [], set(), 0
    with streams.producer() as producer:
        for point, after in WINDOWS:
            worker = streams.start(fault_point=point, fault_after=after, stream_poll_records=6)
            slice_ = [event(f"u{k % 5}", number + k, value=1.0 + k % 5) for k in range(20)]
            slice_.append(slice_[3])  # E0: a publisher's retry
            number += 20
            published += list(zip(slice_, producer.publish_many(slice_), strict=True))
            if point == "E6":
                placed = publish_raw(streams, b"u1", POISON)
                poisoned.add(f"{placed.topic}-{placed.partition}-{placed.offset}".encode())
            if point == "E10":
                published += [(None, producer.forget("u2")), (None, producer.forget("u3"))]
                back = event("u3", number + 1)
                published.append((back, producer.publish(back)))
                number += 2
            assert worker.wait(25) == EXIT_CODE, f"{point} was not reached: {worker.log.read_text()[-3000:]}"
        worker = streams.start()
        wait_until(lambda: all_handled(streams, [token for _, token in published]), 30, "all events being applied")
        wait_until(lambda: committed_everything(streams), 10, "the last commit")
        assert worker.stop() == 0
    assert_equals_replay(streams, published)
    letters = dead_letter_records(streams)
    assert {letter.key for letter in letters} == poisoned
    assert {letter.value for letter in letters} == {POISON}
    assert dict(letters[0].headers)["reason"] == b"bad_json"


def test_kill_9_in_the_middle_of_500_events_a_second_loses_nothing_and_doubles_nothing(streams):
    write_item_vectors(streams)
    events = [event(f"u{k % 40}", k, value=1.0 + k % 5) for k in range(2000)]
    published = []
    worker = streams.start()
    wait_until(lambda: worker.health()[0] == 200, 20, "a healthy worker")

    def publish():
        with streams.producer() as producer:
            began = time.monotonic()
            for start in range(0, len(events), 25):
                chunk = events[start : start + 25]
                published.extend(zip(chunk, producer.publish_many(chunk), strict=True))
                time.sleep(max(0.0, began + (start + 25) / 500 - time.monotonic()))

    publisher = threading.Thread(target=publish)
    publisher.start()
    users = [f"u{k}" for k in range(40)]

    def applied():
        return sum(state.rev for state in streams.store.read_many(users) if state)

    wait_until(lambda: applied() > 600, 20, "600 applied events")
    assert worker.kill() == -signal.SIGKILL
    at_kill = (applied(), len(published))
    assert 600 <= at_kill[0] < 1900, f"the kill missed the middle: (applied, published) = {at_kill}"
    assert at_kill[1] < 1950, f"the kill missed the middle: (applied, published) = {at_kill}"
    successor = streams.start()
    publisher.join(30)
    assert len(published) == 2000
    wait_until(lambda: applied() >= 2000, 30, "all events being applied")
    wait_until(lambda: committed_everything(streams), 10, "the last commit")
    assert successor.stop() == 0
    assert_equals_replay(streams, published)


def test_a_frozen_worker_that_wakes_after_a_takeover_changes_nothing(streams):
    write_item_vectors(streams)
    first = streams.start()
    wait_until(lambda: first.health()[0] == 200, 20, "a healthy worker")
    with streams.producer() as producer:
        early = [event(f"u{k % 4}", k) for k in range(40)]
        published = list(zip(early, producer.publish_many(early), strict=True))
        # Frozen with records in hand: they were fetched, some are applied, none of the last ones committed.
        os.kill(first.pid, signal.SIGSTOP)
        second = streams.start()
        late = [event(f"u{k % 4}", k) for k in range(40, 80)]
        published += list(zip(late, producer.publish_many(late), strict=True))
        wait_until(lambda: all_handled(streams, [token for _, token in published]), 30, "the takeover")
        os.kill(first.pid, signal.SIGCONT)
        last = [event(f"u{k % 4}", k) for k in range(80, 100)]
        published += list(zip(last, producer.publish_many(last), strict=True))
        wait_until(lambda: all_handled(streams, [token for _, token in published]), 30, "the last events")
        wait_until(lambda: committed_everything(streams), 15, "the last commit")
    assert (first.stop(), second.stop()) == (0, 0)
    assert_equals_replay(streams, published)
