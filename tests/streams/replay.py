"""The yardstick: one pass over what was published, one thread, no crash; and the comparison with what is stored."""

from collections import defaultdict
from dataclasses import dataclass, field

import lance
import numpy as np

from encoders.experienced import experienced
from encoders.history import effective
from feature_repo.records import EntityWrite, FeatureRow
from feature_repo.schema import DIM, FACTORS, HISTORY, SUMMARY
from feature_repo.writer import FeatureWriter
from knowledge.base import micros
from knowledge.scenario import load_scenario
from streams.state import RingEntry

RELEASE = "0123456789ab"
SCENARIO = load_scenario("films")


@dataclass
class Replayed:
    """One user after the pass."""

    epoch: int = 0
    rev: int = 0
    ring: list = field(default_factory=list)
    offset: int = -1
    partition: int = -1
    forgotten: bool = False


def replay(published, ring_size=100):
    """`published`: (event or None for forget, token), any order between users, offsets decide within one."""
    users = defaultdict(Replayed)
    for event, token in sorted(published, key=lambda pair: (pair[1].partition, pair[1].offset)):
        user = users[token.user_id]
        user.offset, user.partition = token.offset, token.partition
        if event is None:
            user.epoch, user.rev, user.ring, user.forgotten = user.epoch + 1, 0, [], True
            continue
        if any(entry.event_id == event.event_id for entry in user.ring):
            continue
        reading = SCENARIO.outcome(event.action, event.value)
        user.rev, user.forgotten = user.rev + 1, False
        entry = RingEntry(
            event.event_id,
            event.item_id,
            reading.value,
            reading.polarity,
            micros(event.occurred_at),
            token.offset,
            user.rev,
            0,
        )
        user.ring = [*user.ring, entry][-ring_size:]
    return dict(users)


def item_vectors(count=7):
    """item-0 ... have vectors of release RELEASE; made from a fixed seed."""
    draws = np.random.default_rng(7).normal(size=(count, FACTORS, DIM)).astype(np.float32)
    return {f"item-{number}": draws[number] for number in range(count)}


def write_item_vectors(streams, slot="blue"):
    """Put them into the online store."""
    writer = FeatureWriter(streams.client, streams.keys)
    writer.write(
        [
            EntityWrite(
                "item",
                item_id,
                0,
                (
                    FeatureRow(
                        "item_vector",
                        {"item_vec": vector.reshape(-1), "item_summary": np.zeros(SUMMARY, np.float32)},
                        source_rev=1,
                        release=RELEASE,
                        slot=slot,
                    ),
                ),
            )
            for item_id, vector in item_vectors().items()
        ]
    )


def _entry(e):
    return (e.event_id, e.item_id, e.value, e.polarity, e.occurred_at, e.offset, e.rev)


def assert_equals_replay(streams, published, *, redis_lost=False):
    """State, online rows, offline rows, decisions: all as a single-threaded replay leaves them.

    `redis_lost`: the store lost rows that were readable and already stored offline. They became readable a second
    time, and both times are true.
    """
    expected = replay(published, streams.settings.ring_size)
    topic_id = streams.topic_ids[f"{streams.features.namespace}.behavior"]
    vectors = item_vectors()
    offline = {view: offline_rows(streams, view) for view in ("user_history", "user_experienced_blue")}
    ids = sorted(expected)
    states = streams.store.read_many(ids)
    history = streams.reader.read("user_history", ids)
    tasted = streams.reader.read("user_experienced", ids, slot="blue")
    for user_id, state, seen, felt in zip(ids, states, history, tasted, strict=True):
        user = expected[user_id]
        assert state is not None, user_id
        assert (user_id, state.epoch, state.rev, state.forgotten) == (user_id, user.epoch, user.rev, user.forgotten)
        assert [_entry(e) for e in state.ring] == [_entry(e) for e in user.ring]
        assert state.offsets == {topic_id: {user.partition: user.offset}}
        if user.forgotten:
            assert (seen, felt) == (None, None), user_id
            assert not any(row["user_id"] == user_id for rows in offline.values() for row in rows)
            continue
        entries = effective(user.ring)
        assert seen["history_item_ids"] == [e.item_id for e in entries[:HISTORY]]
        assert seen["history_values"].tolist() == [e.value for e in entries[:HISTORY]]
        assert (seen["history_rev"], seen["history_through"]) == (user.rev, entries[0].occurred_at)
        np.testing.assert_array_equal(
            felt["experienced_vec"], experienced(entries, vectors, (FACTORS, DIM)).reshape(-1)
        )
        assert (felt["experienced_rev"], felt["experienced_release"]) == (user.rev, RELEASE)
        assert state.decision["rev"] == user.rev
        for view, online, feature in (
            ("user_history", seen, "history_item_ids"),
            ("user_experienced_blue", felt, "experienced_vec"),
        ):
            own = [r for r in offline[view] if (r["user_id"], r["epoch"]) == (user_id, user.epoch)]
            if not redis_lost:
                _assert_rev_rises_with_time(own)
            newest = max(own, key=lambda row: (row["source_rev"], row["event_timestamp"]))
            assert newest["source_rev"] == user.rev
            stored = newest[feature if view == "user_history" else f"{feature}_blue"]
            assert list(stored) == list(online[feature])


def _assert_rev_rises_with_time(rows):
    times = defaultdict(set)
    for row in rows:
        times[row["source_rev"], row["write_id"]].add(row["event_timestamp"])
    assert all(len(at) == 1 for at in times.values()), "a retried row must carry the time of its first write"
    in_time = sorted((min(at), rev) for (rev, _), at in times.items())
    assert [rev for _, rev in in_time] == sorted({rev for rev, _ in times}), "rev must rise strictly with time"


def offline_rows(streams, view):
    """All rows of a physical view."""
    return lance.dataset(str(streams.offline.path(view))).to_table().to_pylist()
