"""One refresh against a real Valkey and real Lance files: what is asked, what is written, what is refused."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from knowledge.base import TerminalError, TransientError
from knowledge.requests import NoNewerRecord
from streams.redis_time import redis_micros
from streams.refresher import RefreshEnd
from tests.streams_refresh.parts import (
    ITEMS,
    RELEASE,
    knowledge,
)

pytestmark = pytest.mark.services


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
    assert asked.history[0].facts == "year 1995"
    assert asked.profile == {"age": "30"}
    assert asked.previous.source_rev == 10
    assert "u" not in {entry.title for entry in asked.history}


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


async def test_an_incremental_request_says_how_many_events_are_new_and_a_full_one_does_not(world):
    for _ in range(3):
        world.publish("u", 1)
        await world.refresher.refresh(world.request())
    assert [request.new_events for request in world.source.requests] == [4, 1, None]
    assert [request.incremental for request in world.source.requests] == [True, True, False]


async def test_taste_that_has_moved_far_starts_from_the_events_alone(world):
    await world.refresher.refresh(world.request(drift=0.79))
    world.publish("u", 1)
    await world.refresher.refresh(world.request(drift=0.8))
    assert [request.incremental for request in world.source.requests] == [True, False]


async def test_the_update_names_the_factors_that_have_changed_also_after_a_full_regeneration(world):
    before = knowledge("u", 10).factors
    after = [{**before, "mood_tone": "calm"}, {**before, "mood_tone": "calm"}, {**before, "mood_tone": "wild"}]
    for factors in after:
        world.publish("u", 1)
        rev = world.store.read("u").rev
        world.source.answers = [knowledge("u", rev).model_copy(update={"factors": factors})]
        await world.refresher.refresh(world.request())
    assert world.source.requests[2].previous is None
    assert [update["changed"] for update in world.announced] == [["mood_tone"], [], ["mood_tone"]]


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
