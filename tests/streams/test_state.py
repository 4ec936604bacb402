"""User state: whatever the delivery does, it equals a plain model that saw the log once, in order."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.keys import Keys
from knowledge.base import Action, BehaviorEvent, Polarity, TransientError, micros
from streams.redis_calls import connect
from streams.state import Arrival, ForgetArrival, RingEntry, state_from_json, state_to_json
from streams.store import StateStore

pytestmark = pytest.mark.services
START = datetime(2020, 1, 1, tzinfo=UTC)
RING = 4
KEYS = Keys("state_test")


@pytest.fixture(scope="module")
def redis_client(valkey):
    client = connect(valkey.url)
    yield client
    client.close()


@pytest.fixture
def store(redis_client):
    return StateStore(redis_client, KEYS, RING)


_users = iter(range(10**6))


def new_user() -> str:
    return f"user-{next(_users)}"


def arrival(user, event_id, offset, *, item="i1", value=4.0, second=0, topic_id="T", partition=0):
    event = BehaviorEvent(
        event_id=event_id,
        user_id=user,
        item_id=item,
        action=Action.RATE,
        value=value,
        occurred_at=START + timedelta(seconds=second),
    )
    polarity = Polarity.LIKED if value > 3 else Polarity.DISLIKED
    return Arrival(event, value, polarity, topic_id, partition, offset)


@dataclass
class Model:
    """What the state must be: one pass, one thread, no crash."""

    rev: int = 0
    epoch: int = 0
    offsets: dict = field(default_factory=dict)
    ring: list = field(default_factory=list)

    def apply(self, a: Arrival) -> None:
        if a.offset <= self.offsets.get((a.topic_id, a.partition), -1):
            return
        self.offsets[a.topic_id, a.partition] = a.offset
        if any(entry[0] == a.event.event_id for entry in self.ring):
            return
        self.rev += 1
        entry = (
            a.event.event_id,
            a.event.item_id,
            a.value,
            a.polarity,
            micros(a.event.occurred_at),
            a.offset,
            self.rev,
        )
        self.ring = [*self.ring, entry][-RING:]

    def forget(self, a: ForgetArrival) -> None:
        if a.offset <= self.offsets.get((a.topic_id, a.partition), -1):
            return
        self.offsets[a.topic_id, a.partition] = a.offset
        self.rev, self.ring, self.epoch = 0, [], self.epoch + 1


def seen(state):
    offsets = {(t, p): o for t, line in state.offsets.items() for p, o in line.items()}
    ring = [(e.event_id, e.item_id, e.value, e.polarity, e.occurred_at, e.offset, e.rev) for e in state.ring]
    return state.epoch, state.rev, offsets, ring


# A log: per line (topic id, partition) offsets rise; event ids repeat (a publisher's retry gets a new offset).
records = st.lists(
    st.tuples(st.sampled_from(["T1", "T2"]), st.sampled_from([0, 1]), st.integers(0, 7), st.booleans()), max_size=25
)
# Crashes: read on to the first number, then go so many records back.
restarts = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=3)


@given(log=records, restarts=restarts, batch=st.integers(1, 5), forgets=st.sets(st.integers(0, 24), max_size=2))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_replay_and_duplicate_leaves_the_state_of_one_single_threaded_pass(store, log, restarts, batch, forgets):
    user = new_user()
    lines, deliveries = {}, []
    for i, (topic_id, partition, event, late) in enumerate(log):
        lines[topic_id, partition] = offset = lines.get((topic_id, partition), -1) + 1
        if i in forgets:
            deliveries.append(ForgetArrival(user, topic_id, partition, offset))
        else:
            deliveries.append(
                arrival(user, f"e{event}", offset, second=-i if late else i, topic_id=topic_id, partition=partition)
            )
    model = Model()
    for record in deliveries:
        model.forget(record) if isinstance(record, ForgetArrival) else model.apply(record)
    position = 0
    for stop, back in restarts:
        stop = min(max(stop, position), len(deliveries))
        _deliver(store, deliveries[position:stop], batch)
        position = max(0, stop - back)
    _deliver(store, deliveries[position:], batch)
    state = store.read(user)
    if state is None:
        assert not deliveries
    else:
        assert seen(state) == (model.epoch, model.rev, model.offsets, model.ring)


def _deliver(store, records, batch):
    waiting = []
    for record in records:
        if isinstance(record, ForgetArrival):
            store.apply(waiting)
            waiting = []
            store.forget(record, 60)
        else:
            waiting.append(record)
            if len(waiting) >= batch:
                store.apply(waiting)
                waiting = []
    store.apply(waiting)


def test_an_ignored_event_still_returns_the_whole_state_so_that_later_steps_run_again(store):
    user = new_user()
    first = store.apply([arrival(user, "a", 0), arrival(user, "b", 1)])[0]
    again = store.apply([arrival(user, "a", 0), arrival(user, "b", 1)])[0]
    assert [v.reason for v in again.verdicts] == ["replayed", "replayed"]
    assert again.state == first.state
    assert again.state.rev == 2


def test_a_publishers_retry_with_a_new_offset_counts_once_and_moves_the_offset_on(store):
    user = new_user()
    store.apply([arrival(user, "a", 0)])
    result = store.apply([arrival(user, "a", 7)])[0]
    assert [(v.applied, v.reason) for v in result.verdicts] == [(False, "duplicate")]
    assert result.state.rev == 1
    assert result.state.handled("T", 0, 7)


def test_a_recreated_topic_with_lower_offsets_does_not_swallow_events(store):
    user = new_user()
    store.apply([arrival(user, "a", 500, topic_id="old")])
    result = store.apply([arrival(user, "b", 0, topic_id="new")])[0]
    assert result.verdicts[0].applied
    assert result.state.offsets == {"old": {0: 500}, "new": {0: 0}}


def test_results_come_per_user_in_order_of_first_appearance(store):
    one, two = new_user(), new_user()
    results = store.apply([arrival(two, "a", 0), arrival(one, "b", 1), arrival(two, "c", 2)])
    assert [(r.state.user_id, len(r.verdicts)) for r in results] == [(two, 2), (one, 1)]


def test_large_numbers_and_fractions_survive_lua_unrounded(store):
    user = new_user()
    far = arrival(user, "a", 2**52 + 1, value=0.1 + 0.2, second=6_000_000_000)
    entry = store.apply([far])[0].state.ring[0]
    assert (entry.value, entry.offset, entry.occurred_at) == (0.1 + 0.2, 2**52 + 1, micros(far.event.occurred_at))
    assert abs(entry.applied_at - micros(datetime.now(UTC))) < 60_000_000


def test_forgetting_leaves_a_stub_that_swallows_a_replay_and_lets_a_later_event_begin_a_new_life(store, redis_client):
    user = new_user()
    store.apply([arrival(user, "a", 0), arrival(user, "b", 1)])
    store.update(user, 0, prompt_hashes=["h1"], refreshed_rev=2)
    done = store.forget(ForgetArrival(user, "T", 0, 2), 60)
    assert (done.verdicts[0].applied, done.state.forgotten, done.state.prompt_hashes) == (True, True, ("h1",))
    assert 0 < redis_client.pttl(KEYS.state_key(user)) <= 60_000
    assert store.forget(ForgetArrival(user, "T", 0, 2), 60).verdicts[0].reason == "again"
    replay = store.apply([arrival(user, "a", 0), arrival(user, "b", 1)])[0]
    assert (replay.state.epoch, replay.state.rev, replay.state.ring, replay.state.forgotten) == (1, 0, (), True)
    assert store.finish_forgetting(user, 1, erased=True)
    assert (store.read(user).gone, store.read(user).prompt_hashes) == (True, ())
    assert store.forget(ForgetArrival(user, "T", 0, 2), 60).verdicts[0].reason == "replayed"
    later = store.apply([arrival(user, "c", 3)])[0]
    assert (later.state.epoch, later.state.rev, later.state.forgotten, later.state.gone) == (1, 1, False, False)
    assert later.state.refreshed_rev == 0
    assert redis_client.pttl(KEYS.state_key(user)) == -1
    assert store.forget(ForgetArrival(user, "T", 0, 2), 60).verdicts[0].reason == "replayed"


def test_a_writer_that_read_before_the_forgetting_cannot_update_after_it(store):
    user = new_user()
    store.apply([arrival(user, "a", 0)])
    store.forget(ForgetArrival(user, "T", 0, 1), 60)
    assert not store.update(user, 0, refreshed_rev=1)
    assert not store.update(new_user(), 0, refreshed_rev=1)
    assert store.read(user).refreshed_rev == 0


def test_counters_and_decisions_never_go_back(store):
    user = new_user()
    store.apply([arrival(user, "a", 0)])
    store.update(user, 0, refreshed_rev=5, decision={"rev": 5, "due": True, "reason": "new"}, prompt_hashes=["x"])
    store.update(user, 0, refreshed_rev=3, decision={"rev": 4, "due": False, "reason": "old"}, prompt_hashes=["y"])
    store.update(user, 0, refresh_outcome={"source_rev": 3, "reason": "no_newer_record"})
    state = store.read(user)
    assert (state.refreshed_rev, state.decision["reason"], state.prompt_hashes) == (5, "new", ("x", "y"))
    assert state.refresh_outcome == {"source_rev": 3, "reason": "no_newer_record"}


def test_a_loaded_history_is_continued_and_never_written_over_a_living_state(store):
    user = new_user()
    entries = [RingEntry(f"h{k}", f"i{k}", 4.0, Polarity.LIKED, k, -1, k, k) for k in range(1, 7)]
    seeded = store.seed(user, entries, {"age": "25"})
    assert [e.rev for e in seeded.ring] == [3, 4, 5, 6]
    assert store.read(user) == seeded
    assert store.apply([arrival(user, "a", 0)])[0].state.rev == 7
    assert store.seed(user, entries, {}) is None
    assert store.read(user).profile == {"age": "25"}


def test_a_rebuilt_state_equals_the_one_that_was_lost(store, redis_client):
    user = new_user()
    state = store.apply([arrival(user, f"e{k}", k, second=k) for k in range(6)])[0].state
    redis_client.delete(KEYS.state_key(user))
    assert store.restore(state_from_json(user, state_to_json(state)))
    assert store.read(user) == state
    assert not store.restore(state), "an equal state must not be overwritten"


def test_a_smaller_ring_drops_more_than_one_old_event(redis_client):
    user = new_user()
    StateStore(redis_client, KEYS, 8).apply([arrival(user, f"e{k}", k) for k in range(8)])
    state = StateStore(redis_client, KEYS, 3).apply([arrival(user, "last", 8)])[0].state
    assert [e.event_id for e in state.ring] == ["e6", "e7", "last"]


def test_a_burst_longer_than_the_ring_in_one_call_keeps_the_newest(store):
    user = new_user()
    state = store.apply([arrival(user, f"e{k}", k) for k in range(600)])[0].state
    assert (state.rev, [e.event_id for e in state.ring]) == (600, ["e596", "e597", "e598", "e599"])
    assert store.read(user) == state
    assert state.counts == {"liked": 600}


def test_a_dead_redis_is_a_transient_error_that_says_so():
    store = StateStore(connect("redis://127.0.0.1:1/0"), KEYS, RING)
    with pytest.raises(TransientError, match="Redis does not answer") as error:
        store.apply([arrival("u", "a", 0)])
    assert error.value.reason == "redis_unavailable"


def test_scripts_lost_in_a_restart_are_loaded_again(store, redis_client):
    user = new_user()
    redis_client.script_flush()
    assert store.apply([arrival(user, "a", 0)])[0].state.rev == 1
