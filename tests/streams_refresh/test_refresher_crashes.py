"""One refresh against real stores: what a crash, or a deletion, between two steps must not break."""

from dataclasses import replace

import pytest

from knowledge.base import TransientError
from streams.refresher import RefreshEnd
from streams.state import ForgetArrival
from tests.streams_refresh.parts import (
    knowledge,
)
from tests.streams_refresh.refresher_world import TOPIC, CrashError

pytestmark = pytest.mark.services


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


async def test_rows_lost_by_a_redis_crash_are_written_again_not_noted_as_done(world):
    async def lose(user_id, value):
        world.client.delete(world.reader._keys.row_key("user", "u"))  # noqa: SLF001

    world.refresher._announce = lose  # noqa: SLF001
    with pytest.raises(TransientError, match="gone"):
        await world.refresher.refresh(world.request())
    assert world.store.read("u").refreshed_rev == 10
