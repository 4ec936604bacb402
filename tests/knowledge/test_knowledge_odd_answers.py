"""Servers that answer oddly: what they count, how they spell, where they point to, what they repeat."""

import json

import pytest
from pydantic import ValidationError

from knowledge.base import ItemProfile, Knowledge, TerminalError, TransientError
from knowledge.cache import AnswerCache
from knowledge.client import LlmClient
from knowledge.live import LiveSource

ITEM = ItemProfile(item_id="i1", title="Film")
KEY = "sk-abcdefghijklmnop"


@pytest.fixture
async def source(settings, scenario, catalogue, titles):
    def build(titles=titles, catalogue=catalogue):
        cache = AnswerCache(settings.knowledge_cache_dir)
        built.append(LiveSource(LlmClient(settings), scenario, catalogue, titles, cache))
        return built[-1]

    built: list[LiveSource] = []
    settings = settings.model_copy(update={"llm_retries": 0, "llm_api_key": type(settings.llm_api_key)(KEY)})
    yield build
    for one in built:
        await one.close()


def told(scenario, said="warm", **parts):
    """The body of a chat completion about an item, with some parts replaced."""
    content = json.dumps({"factors": {name: f"On {name}, {said}" for name in scenario.factors}})
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    return (200, {}, json.dumps({"model": "fake-1", "choices": [choice], **parts}).encode())


@pytest.mark.parametrize("count", [-5, 10**30, "many", 1.5, True, None, [7]])
async def test_counts_that_are_none_count_nothing_and_lose_no_answer(source, server, scenario, count):
    usage = {"prompt_tokens": count, "completion_tokens": count, "prompt_tokens_details": {"cached_tokens": count}}
    server.plan = [told(scenario, usage=usage)]
    answer = await source().item(ITEM)
    assert (answer.knowledge.tokens_in, answer.knowledge.tokens_cached, answer.knowledge.tokens_out) == (0, 0, 0)
    assert not (await source().item(ITEM)).called  # and what is kept can be read


@pytest.mark.parametrize("usage", ["none", [], {"prompt_tokens_details": 3}])
async def test_a_count_of_another_shape_is_no_count(source, server, scenario, usage):
    server.plan = [told(scenario, usage=usage)]
    assert (await source().item(ITEM)).knowledge.tokens_in == 0


async def test_a_server_that_names_no_model_answers_for_the_one_asked(source, server, scenario):
    server.plan = [told(scenario, model=None)]
    assert (await source().item(ITEM)).knowledge.model == "fake"


async def test_half_a_character_is_mended_and_the_paid_answer_is_kept(source, server, scenario, settings):
    server.plan = [told(scenario, said="a \ud83d smile", model="fake\udc00-1")]
    answer = await source().item(ITEM)
    answer.knowledge.model_dump_json().encode()
    assert answer.called
    again = await source().item(ITEM)
    assert (again.called, again.knowledge) == (False, answer.knowledge)
    assert not list(settings.knowledge_cache_dir.rglob(".new-*"))


async def test_half_a_character_in_what_cannot_be_used_is_shown_to_the_llm_again(source, server, scenario):
    body = json.dumps({"choices": [{"message": {"content": "no JSON \ud83d"}}]}).encode()
    server.plan = [(200, {}, body), told(scenario)]
    assert (await source().item(ITEM)).called


@pytest.mark.parametrize("status", [301, 302, 307, 308, 402, 404, 405, 410])
async def test_a_server_at_another_address_is_for_the_operator_to_mend(source, server, status):
    server.plan = [(status, {"location": "http://127.0.0.1:9/"}, b"{}")]
    with pytest.raises(TransientError, match=rf"{server.base_url} says {status}.*llm_base_url") as caught:
        await source().item(ITEM)
    assert caught.value.reason == "llm_misconfigured"


@pytest.mark.parametrize("status", [401, 403, 407])
async def test_a_refused_key_is_not_repeated(source, server, status):
    words = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY[:6]}***{KEY[-4:]}"}})
    server.plan = [(status, {}, words.encode())]
    with pytest.raises(TransientError, match="REKI_LLM_API_KEY") as caught:
        await source().item(ITEM)
    assert KEY[:6] not in caught.value.message
    assert KEY[-4:] not in caught.value.message


async def test_words_of_the_server_are_one_printable_line_without_the_key(source, server):
    server.plan = [(400, {}, json.dumps({"error": {"message": f"no\n\x1b[31m {KEY} \ud83d"}}).encode())]
    with pytest.raises(TerminalError) as caught:
        await source().item(ITEM)
    assert KEY not in caught.value.message
    assert caught.value.message.isprintable()


async def test_an_unreachable_server_is_named_without_what_is_secret_in_its_address(settings, scenario, catalogue):
    named = settings.model_copy(update={"llm_base_url": "http://me:secret@127.0.0.1:9/v1", "llm_retries": 0})
    client = LlmClient(named)
    source = LiveSource(client, scenario, catalogue, {}, AnswerCache(settings.knowledge_cache_dir))
    with pytest.raises(TransientError, match=r"no answer from the LLM server http://127.0.0.1:9/v1: ") as caught:
        await source.item(ITEM)
    assert "secret" not in caught.value.message
    assert client.trouble is caught.value
    await source.close()


@pytest.mark.parametrize("title", ["", "  ", "\t\u200b\u2060", "\u3000"])
async def test_nothing_is_asked_about_an_item_without_a_title(source, server, title, titles, request_of, good):
    with pytest.raises(TerminalError, match="i1 has no title"):
        await source().item(ItemProfile(item_id="i1", title=title))
    assert server.requests == []
    server.plan = [json.dumps(good)]
    await source({**titles, "9": title}).user(request_of())
    assert '"9"' not in json.dumps(server.requests[0]["response_format"])  # nor may it be named


async def test_own_items_without_a_catalogue_are_told_which_setting_is_missing(source, catalogue, request_of):
    from knowledge.catalogue import recorded_catalogue

    with pytest.raises(TerminalError, match=r"MovieLens-100K's: name a catalogue .* REKI_CATALOGUE_FILE"):
        await source({"own": "Own"}, recorded_catalogue().trimmed(60)).user(request_of())
    with pytest.raises(TerminalError, match="load the item profiles"):
        await source({"own": "Own"}).user(request_of())


@pytest.mark.parametrize("name", ["source_rev", "tokens_in", "tokens_cached", "tokens_out"])
@pytest.mark.parametrize("value", [-1, 2**53, 10**30])
def test_a_record_holds_no_number_that_its_files_cannot(previous, name, value):
    with pytest.raises(ValidationError, match=name):
        Knowledge(**{**previous.model_dump(), name: value})
