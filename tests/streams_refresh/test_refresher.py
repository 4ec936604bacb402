"""One refresh against a real Valkey and real Lance files: what a crash between two steps must not break."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.writer import FeatureWriter
from knowledge.base import BehaviorEvent, Polarity, SystemClock, TerminalError, TransientError
from knowledge.requests import NoNewerRecord
from streams.backfill import backfill_items, backfill_users
from streams.control import Slots
from streams.item_vectors import ItemVectors
from streams.projection import Projection
from streams.redis_time import redis_micros
from streams.refresher import RefreshEnd, Refresher
from streams.requests import RefreshRequest
from streams.settings import StreamSettings
from streams.state import Arrival, ForgetArrival
from streams.user_encoder import UserEncoder
from tests.streams_refresh.parts import (
    ANCHOR_IDS,
    ITEMS,
    RELEASE,
    SHAPE,
    CountingSource,
    HashCondenser,
    items,
    knowledge,
    user,
)

pytestmark = pytest.mark.services
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


async def test_new_knowledge_is_readable_online_and_offline_announced_and_noted(world):
    world.due.mark("u", datetime(2026, 1, 1, tzinfo=UTC))
    world.due.pop_due(None, 5)
    done = await world.refresher.refresh(world.request())
    assert done.end is RefreshEnd.WRITTEN
    assert world.online() == (13, 13)
    [row] = world.reader.read("user_expected", ["u"], None, "blue")
    assert row["expected_source"] == "test-llm|t1|c1"
    assert row["expected_release"] == RELEASE
    assert row["expected_anchors"][0] == 2.0  # the user's own value, not the LLM's 4.0
    assert row["expected_anchors"][20] == 3.0
    assert world.offline_row()["event_timestamp"] == done.written_at
    assert np.array_equal(world.offline_row()["expected_vec_blue"], row["expected_vec"])
    state = world.store.read("u")
    assert (state.refreshed_rev, state.generation) == (13, 1)
    assert state.prompt_hashes == ("hash-u-13",)
    [update] = world.announced
    assert (update["entity_id"], update["source_rev"]) == ("u", 13)
    counts = world.due.counts()
    assert (counts.leased, counts.due) == (0, 0)


async def test_the_prompt_is_built_from_the_requested_events_only(world):
    request = world.request()
    world.publish("u", 4)
    await world.refresher.refresh(request)
    [asked] = world.source.requests
    assert len(asked.history) == 13
    assert asked.history[-1].item_id == ITEMS[47]
    assert asked.history[0].title == f"Film {ITEMS[0]}"
    assert asked.profile == {"age": "30"}
    assert asked.previous.source_rev == 10
    assert "u" not in {entry.title for entry in asked.history}


async def test_a_retry_after_a_crash_during_the_call_asks_the_same_question(world):
    """R1: same request, same prompt; the answer cache does the rest (its own tests)."""
    request = world.request()
    world.crashes.point = "R1"
    with pytest.raises(CrashError):
        await world.refresher.refresh(request)
    world.publish("u", 2)
    await world.refresher.refresh(request)
    first, second = world.source.requests
    assert first == second


async def test_rows_written_online_but_not_offline_are_repeated_without_a_second_call(world):
    """R2: the retry writes the same rows with the same time and pays for nothing."""
    world.crashes.point = "R2"
    with pytest.raises(CrashError):
        await world.refresher.refresh(world.request())
    assert world.online() == (13, 13)
    assert world.store.read("u").refreshed_rev == 10
    before = world.reader.event_times("user_expected", ["u"], "blue")
    world.offline._rows.clear()  # noqa: SLF001 - the buffer of a process that died
    done = await world.refresher.refresh(world.request())
    assert done.end is RefreshEnd.WRITTEN
    assert len(world.source.requests) == 1
    assert world.reader.event_times("user_expected", ["u"], "blue") == before == [done.written_at]
    assert world.offline_row()["source_rev"] == 13
    assert world.store.read("u").refreshed_rev == 13


async def test_an_announcement_is_repeated_rather_than_lost(world):
    world.crashes.point = "R2-flushed"
    with pytest.raises(CrashError):
        await world.refresher.refresh(world.request())
    assert world.announced == []
    await world.refresher.refresh(world.request())
    assert [update["source_rev"] for update in world.announced] == [13]
    assert len(world.source.requests) == 1


async def test_a_request_served_before_the_crash_is_dropped_when_read_again(world):
    request = world.request()
    world.crashes.point = "R5-answered"
    with pytest.raises(CrashError):
        await world.refresher.refresh(request)
    assert (await world.refresher.refresh(request)).end is RefreshEnd.OLD
    assert len(world.source.requests) == 1


async def test_newer_events_after_the_crash_are_asked_about_once_the_old_answer_is_in_place(world):
    world.crashes.point = "R2"
    with pytest.raises(CrashError):
        await world.refresher.refresh(world.request())
    world.publish("u", 2)
    done = await world.refresher.refresh(world.request())
    assert done.end is RefreshEnd.WRITTEN
    assert [request.source_rev for request in world.source.requests] == [13, 15]
    assert world.online() == (15, 15)
    assert world.store.read("u").generation == 2


async def test_texts_and_vectors_appear_together(world):
    """R4: no moment at which one row is new and the other old."""
    seen = set()
    write = world.writer.write

    def watched(writes):
        seen.add(world.online())
        answer = write(writes)
        seen.add(world.online())
        return answer

    world.writer.write = watched
    await world.refresher.refresh(world.request())
    assert seen == {(10, 10), (13, 13)}


async def test_a_user_forgotten_during_the_call_does_not_come_back(world):
    """R6: the write carries the epoch that was read."""

    async def slow(request):
        world.store.forget(ForgetArrival("u", TOPIC, 0, 99), 3600)
        world.writer.delete_entity("user", "u")
        return replace(answer, knowledge=knowledge("u", request.source_rev))

    request = world.request()
    answer = await world.source.user(world.refresher._user_request(request, world.refresher._look(request)))  # noqa: SLF001
    world.source.user = slow
    done = await world.refresher.refresh(request)
    assert done.end is RefreshEnd.FORGOTTEN
    assert world.online() == (None, None)
    assert world.offline_row() is None
    assert world.announced == []


async def test_a_request_of_a_forgotten_life_is_dropped(world):
    request = world.request()
    world.store.forget(ForgetArrival("u", TOPIC, 0, 99), 3600)
    assert (await world.refresher.refresh(request)).end is RefreshEnd.FORGOTTEN
    assert world.source.requests == []


async def test_no_newer_record_leaves_the_knowledge_and_tells_who_waits(world):
    world.source.answers = [NoNewerRecord("nothing newer than 10 events")]
    request = world.request()
    assert (await world.refresher.refresh(request)).end is RefreshEnd.NO_NEWER_RECORD
    state = world.store.read("u")
    assert (state.refreshed_rev, world.online()) == (10, (10, 10))
    assert state.refresh_outcome["source_rev"] == 13
    assert state.refresh_outcome["reason"] == "no_newer_record"
    assert abs(state.refresh_outcome["at"] - redis_micros(world.client)) < 5_000_000


async def test_an_answer_that_has_seen_no_more_than_the_knowledge_in_force_is_not_used(world):
    world.source.answers = [knowledge("u", 10, model="other")]
    assert (await world.refresher.refresh(world.request())).end is RefreshEnd.NO_NEWER_RECORD
    assert world.reader.read("user_knowledge", ["u"])[0]["knowledge_model"] == "test-llm"


async def test_a_recorded_answer_of_fewer_events_counts_and_says_so(world):
    world.source.answers = [knowledge("u", 12)]
    assert (await world.refresher.refresh(world.request())).end is RefreshEnd.WRITTEN
    state = world.store.read("u")
    assert state.refreshed_rev == 12
    assert state.refresh_outcome["source_rev"] == 13
    assert state.refresh_outcome["reason"] == "knowledge_of_12_events"


@pytest.mark.parametrize("error", [TerminalError("answer_cut", "cut"), TransientError("llm_down", "down")])
async def test_a_failing_source_leaves_everything_as_it_was(world, error):
    world.source.answers = [error]
    with pytest.raises(type(error)):
        await world.refresher.refresh(world.request())
    assert world.online() == (10, 10)
    assert world.store.read("u").generation == 0


async def test_every_third_generation_starts_from_the_events_alone(world):
    for _ in range(3):
        world.publish("u", 1)
        await world.refresher.refresh(world.request())
    assert [request.previous is None for request in world.source.requests] == [False, False, True]


async def test_a_late_writer_of_older_events_changes_nothing(world):
    old = world.request()
    world.publish("u", 2)
    await world.refresher.refresh(world.request())
    state = replace(world.store.read("u"), refreshed_rev=10)
    world.store.update("v", 0, refreshed_rev=10)
    read = world.store.read
    world.store.read = lambda name: state  # a worker that read before the other one wrote
    world.source.answers = [knowledge("u", old.source_rev)]
    done = await world.refresher.refresh(old)
    world.store.read = read
    assert done.end is not RefreshEnd.WRITTEN or done.extraction.knowledge.source_rev == 15
    assert world.online() == (15, 15)


async def test_rows_lost_by_a_redis_crash_are_written_again_not_noted_as_done(world):
    async def lose(user_id, value):
        world.client.delete(world.reader._keys.row_key("user", "u"))  # noqa: SLF001

    world.refresher._announce = lose  # noqa: SLF001
    with pytest.raises(TransientError, match="gone"):
        await world.refresher.refresh(world.request())
    assert world.store.read("u").refreshed_rev == 10
