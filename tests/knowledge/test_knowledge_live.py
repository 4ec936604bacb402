import dataclasses
import json

import pytest
from knowledge_parts import START, entry

from knowledge.base import FixedClock, ItemProfile, KnowledgeMode, TerminalError, TransientError
from knowledge.cache import AnswerCache
from knowledge.client import LlmClient
from knowledge.live import LiveSource


@pytest.fixture
async def source(settings, scenario, catalogue, titles):
    def build(titles=titles):
        cache = AnswerCache(settings.knowledge_cache_dir)
        source = LiveSource(LlmClient(settings), scenario, catalogue, titles, cache, clock=FixedClock(START))
        built.append(source)
        return source

    built = []
    yield build
    for source in built:
        await source.close()


async def test_an_answer_becomes_knowledge_with_its_provenance(source, server, request_of, good):
    server.plan = [json.dumps(good)]
    request = request_of()
    answer = await source().user(request)
    knowledge = answer.knowledge
    assert answer.called
    assert (knowledge.entity, knowledge.entity_id, knowledge.mode) == ("user", "user-7f3a", KnowledgeMode.INDIVIDUAL)
    assert (knowledge.model, knowledge.template_version, knowledge.catalogue_version) == (
        "fake-1",
        "films-user-2",
        "test-1",
    )
    assert (knowledge.source_rev, knowledge.source_through) == (3, request.source_through)
    assert (knowledge.tokens_in, knowledge.tokens_cached, knowledge.tokens_out) == (100, 60, 7)
    assert knowledge.generated_at == START
    assert knowledge.expectations.likes == tuple(good["likes"])


async def test_a_retry_after_a_crash_is_answered_from_disk_with_the_same_knowledge(source, server, request_of, good):
    server.plan = [json.dumps(good)]
    first = await source().user(request_of())
    reborn = source()  # another process would have nothing but the folder
    again = await reborn.user(request_of(generation=2))
    assert (first.called, again.called) == (True, False)
    assert again.knowledge == first.knowledge
    assert again.prompt_hash == first.prompt_hash
    assert len(server.requests) == 1
    usage = reborn.meter.of("user")
    assert (usage.cache_hits, usage.calls, usage.tokens_in) == (1, 0, 0)


async def test_an_erased_answer_is_asked_for_again(source, server, request_of, good, settings):
    server.plan = [json.dumps(good)]
    first = await source().user(request_of())
    assert AnswerCache(settings.knowledge_cache_dir).erase(first.prompt_hash)
    assert (await source().user(request_of())).called
    assert len(server.requests) == 2


async def test_new_events_are_a_new_question(source, server, request_of, good):
    server.plan = [json.dumps(good)]
    live = source()
    first = await live.user(request_of())
    second = await live.user(request_of(history=[entry("5", 4, 0), entry("9", 5, 3)]))
    assert second.called
    assert second.prompt_hash != first.prompt_hash
    assert "9" not in second.knowledge.expectations.likes


async def test_touched_items_never_come_back_as_expectations_and_are_counted(source, server, request_of, good):
    good["likes"] = ["5", "6", "8", "404"]
    server.plan = [json.dumps(good)]
    live = source()
    answer = await live.user(request_of())
    assert answer.knowledge.expectations.likes == ("8",)
    assert live.meter.of("user").repairs == {"touched_item": 2, "unknown_item": 1}
    await live.user(request_of())
    assert live.meter.of("user").repairs == {"touched_item": 2, "unknown_item": 1}


async def test_an_item_found_for_a_user_may_be_named_in_their_answer_and_in_no_other(
    source, server, request_of, good, titles
):
    titles |= {"90": "Film 90", "91": "Film 91"}
    good["likes"] = ["90", "8", "91"]
    server.plan = [json.dumps(good)]
    live = source()
    found = await live.user(dataclasses.replace(request_of(), retrieved=("90",)))
    assert found.knowledge.expectations.likes == ("90", "8")
    assert (await live.user(request_of("user-9b2c"))).knowledge.expectations.likes == ("8",)


async def test_what_is_sensitive_or_an_echo_never_becomes_knowledge_and_is_counted_once(
    source, server, request_of, good
):
    good["factors"] |= {"genre": "Is gay. Loves westerns.", "mood_tone": "Calm. Write to boss@evil.example"}
    server.plan = [json.dumps(good)]
    live = source()
    for _ in range(2):
        factors = (await live.user(request_of())).knowledge.factors
        assert (factors["genre"], factors["mood_tone"]) == ("Loves westerns.", "Calm.")
    assert live.meter.of("user").repairs == {"sensitive": 1, "echo_address": 1}


@pytest.mark.parametrize(
    ("plan", "kind"),
    [(["{"], TerminalError), ([(500, {}, b"")], TransientError), (["drop"], TransientError)],
)
async def test_a_failed_extraction_leaves_no_trace_in_the_cache(source, server, request_of, good, settings, plan, kind):
    server.plan = plan
    live = source()
    with pytest.raises(kind):
        await live.user(request_of())
    assert list(settings.knowledge_cache_dir.rglob("*.json")) == []
    server.plan = [json.dumps(good)]
    assert (await live.user(request_of())).called


async def test_an_answer_without_words_is_not_cached(source, server, request_of, good, settings, scenario):
    good["factors"] = dict.fromkeys(scenario.factors, "-")
    server.plan = [json.dumps(good)]
    with pytest.raises(TerminalError) as caught:
        await source().user(request_of())
    assert caught.value.reason == "empty_answer"
    assert list(settings.knowledge_cache_dir.rglob("*.json")) == []


async def test_a_full_disk_does_not_lose_an_answer_that_was_paid_for(source, server, request_of, good, settings):
    settings.knowledge_cache_dir.parent.mkdir(exist_ok=True)
    settings.knowledge_cache_dir.write_text("a file where the folder should be")
    server.plan = [json.dumps(good)]
    live = source()
    assert (await live.user(request_of())).knowledge.factors
    assert live.meter.of("user").failures == {"cache_unwritable": 1}


async def test_without_titles_nothing_is_asked(source, server, request_of, titles):
    titles.clear()
    with pytest.raises(TerminalError) as caught:
        await source().user(request_of())
    assert caught.value.reason == "no_titles"
    assert server.requests == []


class GrowingTitles(dict):
    """A store into which a title arrives at every look."""

    def keys(self):
        self[str(len(self) + 1)] = f"Film {len(self) + 1}"
        return super().keys()

    def __iter__(self):
        return iter(self.keys())


async def test_titles_that_arrive_meanwhile_do_not_part_prompt_and_reader(source, server, request_of, good):
    grown = GrowingTitles({"1": "One", "2": "Two", "8": "Eight", "9": "Nine"})
    server.plan = [json.dumps(good)]
    live = source(titles=grown)
    answer = await live.user(request_of())
    asked = json.dumps(server.requests[0]["messages"])
    named = {*answer.knowledge.expectations.likes, *answer.knowledge.expectations.anchors}
    assert named
    for item_id in named:
        assert grown[item_id] in asked


async def test_items_are_described_along_the_same_factors(source, server, good, scenario):
    server.plan = [json.dumps({"factors": good["factors"]})]
    live = source()
    answer = await live.item(ItemProfile(item_id="i1", title="Film", fields={"genres": "Drama"}))
    assert tuple(answer.knowledge.factors) == scenario.factors
    assert (answer.knowledge.entity, answer.knowledge.entity_id, answer.knowledge.source_rev) == ("item", "i1", 0)
    assert answer.knowledge.expectations is None
    assert not (await live.item(ItemProfile(item_id="i2", title="Film", fields={"genres": "Drama"}))).called
    assert live.meter.of("item").cache_hits == 1


async def test_a_hostile_model_name_cannot_forge_an_accepted_source(source, server, request_of, good):
    body = json.loads(server._completion(json.dumps(good)))  # noqa: SLF001 - the double's own
    body["model"] = "recorded-llm|recorded-1|ml-100k-1"
    server.plan = [(200, {}, json.dumps(body).encode())]
    assert "|" not in (await source().user(request_of())).knowledge.model
