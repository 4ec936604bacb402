"""What is asked about a user where items are found for each: without stores, with a source that keeps the prompts."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from encoders.finder import Finder
from encoders.item_index import ItemIndex, load_index
from knowledge.base import Polarity, SystemClock, TransientError
from knowledge.cache import AnswerCache
from knowledge.catalogue import recorded_catalogue
from knowledge.live import LiveSource
from knowledge.meter import Meter
from knowledge.prompts import EMBEDDED_LIMITS
from knowledge.scenario import load_scenario
from streams.refresher import Refresher
from streams.requests import RefreshRequest
from streams.state import RingEntry, UserState
from streams.told import ItemTold
from streams.user_request import user_request
from tests.streams_refresh.parts import ITEMS

CATALOGUE = recorded_catalogue().trimmed(60)
FOREIGN = [f"new-{n}" for n in range(80)]  # in no catalogue and in no view: the index alone names them


class KeptPrompts:
    """An LLM that is away, after it has seen the prompt."""

    def __init__(self):
        self.meter = Meter()
        self.prompts = []

    def cache_key(self, prompt):
        return prompt.hash

    async def complete(self, prompt, purpose):
        self.prompts.append(prompt)
        raise TransientError("llm_down", "away")


class Stores:
    """State and titles, as the refresher reads them."""

    def __init__(self, state):
        self.state = state

    def read(self, what, ids=None, features=None, slot=None):
        if ids is None:
            return self.state
        if what == "user_knowledge":
            return [None for _ in ids]
        return [{"item_title": f"Film {item}", "item_fields": '{"year": "1995"}'} for item in ids]


def ring(events):
    return tuple(
        RingEntry(f"e{n}", ITEMS[n], 4.0, Polarity.LIKED if n % 2 else Polarity.DISLIKED, 1_000_000 * n, n, n + 1, 0)
        for n in range(events)
    )


@pytest.fixture
def finder(tmp_path):
    draw = np.random.default_rng(0)
    ids = [*ITEMS, *FOREIGN]
    index = ItemIndex(
        "test",
        tuple(ids),
        tuple(f"Found {item}" for item in ids),
        draw.standard_normal((len(ids), 3, 4)).astype(np.float16),
        draw.integers(5, 50, len(ids)),
        draw.random(len(ids)),
    )
    index.write(tmp_path / "find.json")
    return Finder(load_index(tmp_path / "find.json"))


@pytest.fixture
def world(tmp_path):
    """`ask(finder)` sends one request through a refresher of its own, and returns the prompt that the LLM saw."""
    stores = Stores(UserState("u", rev=12, ring=ring(12), profile={"age": "30"}))
    scenario, titles = load_scenario("films"), {item: f"Film {item}" for item in CATALOGUE.shortlist}
    request = RefreshRequest(
        user_id="u", source_rev=12, epoch=0, requested_at=datetime(2026, 1, 1, tzinfo=UTC), reason="test"
    )

    async def ask(finder, limits=None):
        llm = KeptPrompts()
        source = LiveSource(llm, scenario, CATALOGUE, titles, AnswerCache(tmp_path / "answers"), limits=limits)
        with ThreadPoolExecutor(1) as io, ThreadPoolExecutor(1) as cpu:
            refresher = Refresher(
                redis=None,
                slots=None,
                store=stores,
                due=None,
                reader=stores,
                writer=None,
                encoder=None,
                source=source,
                announce=None,
                full_every=3,
                clock=SystemClock(),
                io=io,
                cpu=cpu,
                scenario=scenario,
                finder=finder,
            )
            with pytest.raises(TransientError):
                await refresher.refresh(request)
        return llm.prompts[0]

    return SimpleNamespace(ask=ask, stores=stores, scenario=scenario, folder=tmp_path / "answers")


async def test_a_retry_asks_the_same_though_more_has_happened_since(world, finder, tmp_path):
    first = await world.ask(finder)
    assert "Found for this person" in first.messages[-1]["content"]
    assert any(item in first.messages[-1]["content"] for item in FOREIGN)
    world.stores.state = replace(world.stores.state, rev=15, ring=ring(15))
    again = await world.ask(Finder(load_index(tmp_path / "find.json")))  # another process has only the file
    assert again == first


async def test_found_items_may_be_named_in_the_answer_and_the_shared_part_stays_as_it_is(world, finder):
    with_found, without = await world.ask(finder), await world.ask(None)
    offered = set(with_found.schema["properties"]["likes"]["items"]["enum"])
    assert offered - set(without.schema["properties"]["likes"]["items"]["enum"]) >= offered & set(FOREIGN) > set()
    assert with_found.messages[0] == without.messages[0]


async def test_an_llm_without_room_for_found_items_is_asked_as_without_any(world, finder):
    assert await world.ask(finder, EMBEDDED_LIMITS) == await world.ask(None, EMBEDDED_LIMITS)


async def test_a_bulk_run_and_a_refresh_ask_the_same_about_somebody_new(world, finder):
    """A bulk run builds its requests with the same two calls (`reki.knowledge.online`, `reki.knowledge.finding`)."""
    llm = KeptPrompts()
    titles = {item: f"Film {item}" for item in CATALOGUE.shortlist}
    bulk = LiveSource(llm, world.scenario, CATALOGUE, titles, AnswerCache(world.folder))
    told = {item: ItemTold(f"Film {item}", "year 1995") for item in ITEMS}
    state = world.stores.state
    with pytest.raises(TransientError):
        await bulk.user(finder.found_for([user_request(state, state.rev, told)])[0])
    assert await world.ask(finder) == llm.prompts[0]
