"""Projections of user state, by real writers on a real store: repeatable, ordered by rev, bounded."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.records import EntityWrite, FeatureRow
from feature_repo.writer import FeatureWriter
from knowledge.base import Action, BehaviorEvent, Polarity
from streams.control import Slots
from streams.due import DueSet
from streams.item_vectors import ItemVectors
from streams.projection import Projection
from streams.redis_calls import connect
from streams.settings import StreamSettings
from streams.state import Arrival, UserResult
from streams.store import StateStore
from tests.streams.replay import item_vectors

pytestmark = pytest.mark.services
_numbers = itertools.count()


class House:
    """A namespace with everything that a projection needs."""

    def __init__(self, url, folder, **settings):
        self.namespace = f"projection_{next(_numbers)}"
        self.client = connect(url)
        self.keys = Keys(self.namespace)
        self.store = StateStore(self.client, self.keys, 100)
        self.offline = OfflineBuffer(folder, flush_s=3600)
        self.offline.create()
        self.writer = FeatureWriter(self.client, self.keys, self.offline)
        self.reader = FeatureReader(self.client, self.keys)
        self.due = DueSet(self.client, self.namespace)
        self.slots = Slots(self.client, self.namespace, ttl_s=0)
        self.settings = StreamSettings(refresh_min_events=50, **settings)
        self.offset = itertools.count()

    def projection(self, writer=None):
        vectors = ItemVectors(self.reader, 100, 60.0, 0.0)
        return Projection(self.store, writer or self.writer, vectors, self.slots, self.due, self.settings)

    def item(self, item_id, vector, release="r1" * 6, slot="blue", rev=1):
        values = {"item_vec": np.asarray(vector, np.float32).reshape(-1), "item_summary": np.zeros(32, np.float32)}
        row = FeatureRow("item_vector", values, rev, release=release, slot=slot)
        FeatureWriter(self.client, self.keys).write([EntityWrite("item", item_id, 0, (row,))])

    def apply(self, user, *items, value=5.0):
        arrivals = []
        for item in items:
            offset = next(self.offset)
            event = BehaviorEvent(
                event_id=f"e{offset}",
                user_id=user,
                item_id=item,
                action=Action.RATE,
                value=value,
                occurred_at=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=offset),
            )
            polarity = Polarity.LIKED if value > 3 else Polarity.DISLIKED
            arrivals.append(Arrival(event, value, polarity, "T", 0, offset))
        return self.store.apply(arrivals)

    def felt(self, user, slot="blue"):
        return self.reader.read("user_experienced", [user], slot=slot)[0]


@pytest.fixture
def house(valkey, tmp_path):
    return House(valkey.url, tmp_path)


def test_an_old_owner_that_wakes_after_a_rebalance_cannot_overwrite_newer_rows(house):
    house.item("a", item_vectors()["item-0"])
    old = house.apply("u", "a")
    new = house.apply("u", "b", "c")
    house.projection().project(new)
    house.projection().project(old)  # E8: it held this state when it was frozen
    assert house.reader.revs("user_history", ["u"]) == [3]
    assert house.felt("u")["experienced_rev"] == 3
    assert house.store.read("u").decision["rev"] == 3
    house.writer.flush()
    assert house.offline.newest("user_history", "u")["source_rev"] == 3


def test_projecting_again_writes_the_same_row_with_the_same_time(house):
    results = house.apply("u", "a", "b")
    house.projection().project(results)
    first = house.reader.event_times("user_history", ["u"])
    house.projection().project(results)
    assert house.reader.event_times("user_history", ["u"]) == first


def test_a_state_read_before_forgetting_cannot_bring_the_user_back(house):
    from streams.state import ForgetArrival

    old = house.apply("u", "a")
    house.store.forget(ForgetArrival("u", "T", 0, next(house.offset)), 60)
    house.projection().project(old)
    assert house.reader.read("user_history", ["u"]) == [None]
    assert house.store.read("u").decision is None


def test_a_vector_of_another_release_is_not_added_to_the_sum(house):
    for name in ("a", "b"):
        house.item(name, np.ones(144))
    house.item("c", np.full(144, 100.0), release="r2" * 6)
    house.projection().project(house.apply("u", "a", "b", "c"))
    felt = house.felt("u")
    assert felt["experienced_release"] == "r1" * 6
    assert felt["experienced_vec"][:144].tolist() == [2.0] * 144


def test_both_slots_are_written_while_a_roll_out_is_open_each_with_its_own_vectors(house):
    from streams.control import RollOut

    house.item("a", np.ones(144))
    house.item("a", np.full(144, 2.0), release="r2" * 6, slot="green")
    house.slots.roll_out = RollOut("1", "green", True)
    house.projection().project(house.apply("u", "a"))
    assert house.felt("u")["experienced_vec"][0] == 1.0
    assert house.felt("u", "green")["experienced_vec"][0] == 2.0
    assert house.felt("u", "green")["experienced_release"] == "r2" * 6


def test_drift_is_how_far_taste_moved_since_the_last_refresh(valkey, tmp_path):
    house = House(valkey.url, tmp_path, refresh_min_drift=0.5)
    first, second = np.zeros(144), np.zeros(144)
    first[0], second[1] = 1.0, 1.0
    house.item("a", first)
    house.item("b", second)
    house.projection().project(house.apply("u", "a"))
    house.store.update("u", 0, refreshed_rev=1, refreshed_at=datetime.now(UTC))
    house.projection().project(house.apply("u", "a"))
    assert not house.store.read("u").decision["due"], "the same taste again is no drift"
    house.projection().project(house.apply("u", *["b"] * 5))
    # Items count once: (1, 0) became (1, 1), cosine 0.707.
    assert not house.store.read("u").decision["due"]
    house.projection().project(house.apply("u", "a", value=1.0))
    decision = house.store.read("u").decision
    assert (decision["due"], decision["reason"]) == (True, "taste moved by 1.00, 0.50 needed")
    assert house.client.zscore(house.due.keys[1], "u") == pytest.approx(1.0)


def test_an_unwritable_row_is_named_and_the_other_users_are_written(house):
    from knowledge.base import TerminalError

    class Refusing(FeatureWriter):
        """The real writer, but for one user: no event that passes the door makes an unwritable row today."""

        def write(self, writes):
            if any(write.entity_id == "bad" for write in writes):
                raise TerminalError("bad_row", "refused")
            return super().write(writes)

    results = house.apply("good", "a") + house.apply("bad", "a")
    assert all(isinstance(result, UserResult) for result in results)
    refused = house.projection(Refusing(house.client, house.keys, house.offline)).project(results)
    assert {user: error.reason for user, error in refused.items()} == {"bad": "bad_row"}
    assert house.reader.revs("user_history", ["good", "bad"]) == [1, None]


def test_the_vector_cache_stays_within_its_bound(house):
    for number in range(30):
        house.item(f"i{number}", np.ones(144))
    vectors = ItemVectors(house.reader, 10, 60.0, 60.0)
    assert len(vectors.get("blue", [f"i{n}" for n in range(30)])[1]) == 30
    assert len(vectors._kept) == 10  # noqa: SLF001 - its size is what is promised
