"""Every way in which an LLM server fails, in one table, over a real socket: the right error, counted, nothing lost.

The same table runs through the refresh worker's refresher in tests/streams_refresh/test_refresher_failures.py, where
the previous knowledge must stay in the stores.
"""

import json

import pytest
from failure_table import FAILURES, break_it

from knowledge.base import RekiError, TerminalError, TransientError
from knowledge.cache import AnswerCache
from knowledge.client import LlmClient
from knowledge.live import LiveSource
from knowledge.prompt_index import PromptIndex


@pytest.fixture
async def live(settings, scenario, catalogue, titles, failure):
    cache = AnswerCache(settings.knowledge_cache_dir)
    quick = settings.model_copy(update={"llm_deadline_s": failure.deadline_s, "llm_retries": 1})
    source = LiveSource(LlmClient(quick), scenario, catalogue, titles, cache)
    yield source
    await source.close()


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
async def test_a_failure_has_its_error_is_counted_and_leaves_the_previous_knowledge(
    live, server, settings, request_of, previous, good, failure
):
    request = request_of(previous=previous)
    before = previous.model_dump_json()
    await break_it(server, failure)
    with pytest.raises(RekiError) as caught:
        await live.user(request)
    error = caught.value
    assert isinstance(error, TransientError if failure.transient else TerminalError)
    assert (error.reason, error.retry_after_s if failure.transient else None) == (failure.reason, failure.retry_after_s)
    usage = live.meter.of("user")
    assert (usage.calls, usage.retries, usage.repair_calls) == (failure.calls, failure.retries, failure.repair_calls)
    assert (usage.answers, usage.failures) == (0, {failure.reason: 1})
    assert ("reki_llm_failures_total", {"purpose": "user", "reason": failure.reason}, 1) in list(live.meter.samples())
    assert request.previous.model_dump_json() == before
    assert list(settings.knowledge_cache_dir.rglob("*.json")) == []
    assert PromptIndex(AnswerCache(settings.knowledge_cache_dir)).keys(request.user_id) == ()
    if failure.name != "server down":
        server.plan, server.finish_reason = [json.dumps(good)], "stop"
        assert (await live.user(request)).called, "the same request is answered once the server is well again"


def test_the_table_has_every_failure_that_was_asked_for():
    asked = {"server down", "429 with Retry-After", "500", "timeout", "truncated JSON", "wrong schema", "empty answer"}
    assert {failure.name for failure in FAILURES} >= {*asked, "1 MB answer"}
