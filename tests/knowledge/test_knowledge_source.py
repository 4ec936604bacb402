import json
import subprocess
import sys
from dataclasses import replace

import pytest
from knowledge_parts import START, entry

from knowledge.base import ItemProfile, Knowledge
from knowledge.recorded import RecordedStore
from knowledge.settings import KnowledgeSettings
from knowledge.source import (
    Extraction,
    LiveSource,
    NoNewerRecord,
    RecordedSource,
    RoutedSource,
    UserRequest,
    open_source,
)


@pytest.fixture(scope="module")
def store():
    return RecordedStore.load()


class Live:
    """A live source that only notes who was sent to it."""

    def __init__(self, store):
        self.asked = []
        self.answer = Extraction(store.users()["1"], None, True)

    async def user(self, request):
        self.asked.append(request.user_id)
        return self.answer

    async def item(self, profile):
        self.asked.append(profile.item_id)
        return self.answer

    async def close(self):
        self.asked.append("closed")


def asked_after(store, user_id, events, previous=None, items=()):
    """A request of a user who has `events` events; the newest are on `items`."""
    ids = [*(f"x{n}" for n in range(min(events, 100) - len(items))), *items]
    history = tuple(entry(item_id, 4, minute) for minute, item_id in enumerate(ids))
    return UserRequest(user_id, {}, history, events, history[-1].occurred_at, previous, 1)


async def test_a_record_counts_only_if_it_has_seen_more_than_the_knowledge_in_force(store):
    first, second = store.refreshes("2")[:2]
    source = RecordedSource(store)
    answer = await source.user(asked_after(store, "2", second.source_rev, first))
    assert answer.knowledge.source_rev == second.source_rev
    assert answer.prompt_hash is None
    assert not answer.called
    with pytest.raises(NoNewerRecord) as caught:
        await source.user(asked_after(store, "2", second.source_rev, answer.knowledge))
    assert caught.value.reason == "no_newer_record"


async def test_a_record_that_has_seen_the_users_future_is_never_used(store):
    first, second = store.refreshes("2")[:2]
    with pytest.raises(NoNewerRecord):
        await RecordedSource(store).user(asked_after(store, "2", second.source_rev - 1, first))


async def test_without_knowledge_in_force_the_newest_allowed_record_answers(store):
    first, second = store.refreshes("2")[:2]
    answer = await RecordedSource(store).user(asked_after(store, "2", second.source_rev + 3))
    assert answer.knowledge.source_rev == second.source_rev
    assert first.source_rev < second.source_rev


async def test_touched_items_fall_and_what_was_touched_after_the_record_does_not_count(store):
    first, second = store.refreshes("2")[:2]
    before, after = second.expectations.likes[:2]
    request = asked_after(store, "2", second.source_rev + 1, first, [before, after])
    source = RecordedSource(store)
    answer = await source.user(request)
    assert before not in answer.knowledge.expectations.likes
    assert after in answer.knowledge.expectations.likes
    assert source.dropped == 1
    assert answer.knowledge.source_through == request.history[-2].occurred_at


async def test_the_same_record_is_the_same_answer_whenever_the_request_comes(store):
    first, second = store.refreshes("2")[:2]
    source = RecordedSource(store)
    early = asked_after(store, "2", second.source_rev, first)
    more = tuple(entry(item_id, 5, 500) for item_id in second.expectations.likes[:2])
    late = replace(early, history=(early.history + more)[-100:], source_rev=early.source_rev + 2)
    assert (await source.user(late)).knowledge == (await source.user(early)).knowledge


async def test_a_record_older_than_the_whole_ring_has_no_known_time(store):
    first = store.refreshes("2")[0]
    history = (entry("x1", 4, 0), entry("x2", 4, 1))
    request = UserRequest("2", {}, history, first.source_rev + 2, history[-1].occurred_at, None, 1)
    assert (await RecordedSource(store).user(request)).knowledge.source_through is None


async def test_a_user_with_recorded_refreshes_never_goes_to_the_live_llm(store):
    live = Live(store)
    source = RoutedSource(RecordedSource(store), live)
    last = store.refreshes("2")[-1]
    with pytest.raises(NoNewerRecord):
        await source.user(asked_after(store, "2", last.source_rev + 50, last))
    assert live.asked == []


async def test_other_users_and_unrecorded_items_go_to_the_live_llm(store):
    live = Live(store)
    source = RoutedSource(RecordedSource(store), live)
    unrefreshed = next(user_id for user_id in store.users() if not store.is_refreshed(user_id))
    await source.user(asked_after(store, unrefreshed, 50))
    await source.user(asked_after(store, "stranger", 5))
    await source.item(ItemProfile(item_id="new-film", title="New"))
    recorded = await source.item(ItemProfile(item_id="1", title="Toy Story"))
    await source.close()
    assert live.asked == [unrefreshed, "stranger", "new-film", "closed"]
    assert recorded.knowledge.factors == store.items()["1"]


async def test_without_a_live_llm_a_stranger_ends_as_no_newer_record(store):
    source = RoutedSource(RecordedSource(store), None)
    with pytest.raises(NoNewerRecord):
        await source.user(asked_after(store, "stranger", 5))
    with pytest.raises(NoNewerRecord):
        await source.item(ItemProfile(item_id="new-film", title="New"))
    await source.close()


def test_your_own_users_never_get_movielens_knowledge_by_their_number(tmp_path):
    own = KnowledgeSettings(llm="openai", llm_base_url="http://127.0.0.1:1/v1", llm_model="m")
    assert isinstance(open_source(own, {}), LiveSource)


def test_the_embedded_llm_answers_after_the_records_and_recorded_alone_needs_no_address(store):
    embedded = KnowledgeSettings(llm="embedded", llm_base_url="http://127.0.0.1:1/v1")
    source = open_source(embedded, {}, store=store)
    assert isinstance(source, RoutedSource)
    assert isinstance(source.live, LiveSource)
    alone = open_source(KnowledgeSettings(), {}, store=store)
    assert isinstance(alone, RoutedSource)
    assert alone.live is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"llm": "openai"},
        {"llm": "openai", "llm_base_url": "http://h/v1"},
        {"llm_base_url": "h:80"},
        {"llm": "recorded", "knowledge_recorded": False},
        {"llm_concurrency": 0},
        {"unknown": 1},
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_door(wrong):
    with pytest.raises(ValueError, match="validation error"):
        KnowledgeSettings(**wrong)


def test_the_api_key_is_never_printed():
    settings = KnowledgeSettings(llm_api_key="sk-secret")
    assert "sk-secret" not in repr(settings)
    assert "sk-secret" not in settings.model_dump_json()


async def test_recorded_and_live_answers_are_the_same_kind_of_record(store):
    recorded = (await RecordedSource(store).user(asked_after(store, "2", 100))).knowledge
    live = Knowledge(**{**recorded.model_dump(), "mode": "individual", "tokens_in": 5, "source_through": START})
    assert set(json.loads(live.model_dump_json())) == set(json.loads(recorded.model_dump_json()))


def test_recorded_knowledge_loads_neither_torch_nor_feast_nor_openai():
    code = (
        "import sys; from knowledge.settings import KnowledgeSettings; from knowledge.source import open_source; "
        "open_source(KnowledgeSettings(), {}); print([m for m in ('torch', 'feast', 'openai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
