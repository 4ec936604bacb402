"""A refresher on a real Valkey and real Lance files, with a source that counts and crashes at named points."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.writer import FeatureWriter
from knowledge.base import BehaviorEvent, Polarity, SystemClock
from knowledge.scenario import load_scenario
from streams.backfill import backfill_items, backfill_users
from streams.control import Slots
from streams.item_vectors import ItemVectors
from streams.projection import Projection
from streams.refresher import Refresher
from streams.requests import RefreshRequest
from streams.settings import StreamSettings
from streams.state import Arrival
from streams.user_encoder import UserEncoder
from tests.streams_refresh.parts import (
    ANCHOR_IDS,
    ITEMS,
    RELEASE,
    SHAPE,
    CountingSource,
    HashCondenser,
    items,
    user,
)

TOPIC = "topic-id"


class CrashError(BaseException):
    """A crash at a named point, as the process would see it: nothing after it runs."""


class Crashes:
    def __init__(self) -> None:
        self.point = ""

    def hit(self, point: str) -> None:
        if point == self.point:
            self.point = ""
            raise CrashError(point)


@dataclass
class World:
    """A user `u` with ten loaded events and knowledge of them, and three more events since."""

    client: Any
    store: Any
    due: Any
    reader: FeatureReader
    offline: OfflineBuffer
    writer: FeatureWriter
    source: CountingSource
    crashes: Crashes
    refresher: Refresher
    announced: list[dict[str, Any]]

    def publish(self, name: str, number: int) -> None:
        """Apply `number` events as the stream worker does."""
        state = self.store.read(name)
        offset = max([entry.offset for entry in state.ring] if state else [-1]) + 1
        self.store.apply(
            [
                Arrival(
                    BehaviorEvent(
                        event_id=f"{name}-{offset + n}",
                        user_id=name,
                        item_id=ITEMS[45 + (offset + n) % 10],
                        action="rate",
                        value=5,
                        occurred_at=datetime(2026, 2, 1, tzinfo=UTC),
                    ),
                    5.0,
                    Polarity.LIKED,
                    TOPIC,
                    0,
                    offset + n,
                )
                for n in range(number)
            ]
        )

    def request(self, name: str = "u", **changes: Any) -> RefreshRequest:
        state = self.store.read(name)
        made = RefreshRequest(
            user_id=name,
            source_rev=state.rev,
            epoch=state.epoch,
            requested_at=datetime.now(UTC),
            reason="test",
        )
        return made.model_copy(update=changes)

    def online(self, name: str = "u") -> tuple[int | None, int | None]:
        return (
            self.reader.revs("user_knowledge", [name])[0],
            self.reader.revs("user_expected", [name], "blue")[0],
        )

    def offline_row(self, name: str = "u", view: str = "user_expected_blue") -> dict[str, Any] | None:
        return self.offline.newest(view, name)


@pytest.fixture
def world(client, keys, namespace, store, due, tmp_path):
    offline = OfflineBuffer(tmp_path / "offline", flush_s=3600)
    writer = FeatureWriter(client, keys, offline)
    reader = FeatureReader(client, keys)
    encoder = UserEncoder(HashCondenser(), reader, RELEASE, ANCHOR_IDS, SHAPE)
    slots = Slots(client, namespace, ttl_s=0)
    source, crashes, announced = CountingSource(), Crashes(), []

    async def announce(user_id: str, value: bytes) -> None:
        announced.append(json.loads(value))

    with ThreadPoolExecutor(1) as io, ThreadPoolExecutor(1) as cpu:
        refresher = Refresher(
            redis=client,
            slots=slots,
            store=store,
            due=due,
            reader=reader,
            writer=writer,
            encoder=encoder,
            source=source,
            announce=announce,
            full_every=3,
            full_drift=0.8,
            scenario=load_scenario("films"),
            clock=SystemClock(),
            io=io,
            cpu=cpu,
            faults=crashes,
        )
        made = World(client, store, due, reader, offline, writer, source, crashes, refresher, announced)
        projection = Projection(
            store, writer, ItemVectors(reader, 1000, 60, 2), slots, due, StreamSettings(refresh_min_events=3)
        )
        backfill_items(items(), writer=writer, condenser=HashCondenser(), release_id=RELEASE, slots=["blue"])
        backfill_users(
            [user("u", 10), user("v", 10)],
            redis=client,
            store=store,
            writer=writer,
            encoder=encoder,
            projection=projection,
            slots=["blue"],
        )
        made.publish("u", 3)
        yield made
