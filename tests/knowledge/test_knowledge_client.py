"""Every failure of an LLM server, from a real socket: the right error, counted."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from knowledge.base import RekiError, TerminalError, TransientError
from knowledge.client import LlmClient
from knowledge.completion import retry_after
from knowledge.prompts import user_prompt
from knowledge.settings import KnowledgeSettings


@pytest.fixture
def prompt(scenario, catalogue, titles, request_of):
    return user_prompt(scenario, catalogue, titles, request_of())


@pytest.fixture
async def client(settings):
    client = LlmClient(settings)
    yield client
    await client.close()


async def failure(client, prompt):
    with pytest.raises(RekiError) as caught:
        await client.complete(prompt, "user")
    assert client.meter.of("user").failures == {caught.value.reason: 1}
    assert client.meter.of("user").answers == 0
    return caught.value


async def test_a_good_answer_and_what_it_cost(client, server, prompt, good):
    server.plan = [json.dumps(good)]
    answer = await client.complete(prompt, "user")
    assert answer.data == good
    assert (answer.tokens_in, answer.tokens_cached, answer.tokens_out, answer.model) == (100, 60, 7, "fake-1")
    assert not answer.cached
    usage = client.meter.of("user")
    assert (usage.calls, usage.answers, usage.retries, usage.tokens_in) == (1, 1, 0, 100)


async def test_the_request_carries_prompt_and_schema_and_nothing_of_the_person_else(client, server, prompt, good):
    server.plan = [json.dumps(good)]
    await client.complete(prompt, "user")
    (sent,) = server.requests
    assert set(sent) == {"model", "messages", "temperature", "max_tokens", "response_format"}
    assert sent["messages"] == list(prompt.messages)
    assert sent["response_format"]["json_schema"]["schema"] == prompt.schema
    assert "user-7f3a" not in json.dumps(sent)


BUSY = (429, {"retry-after": "0.05"}, b"{}")
BROKEN = (500, {}, b'{"error": {"message": "oops"}}')


@pytest.mark.parametrize("trouble", [BUSY, BROKEN, (503, {}, b"no"), "drop", "half", (200, {}, b"<html>proxy</html>")])
async def test_a_transient_failure_is_tried_again(client, server, prompt, good, trouble):
    server.plan = [trouble, json.dumps(good)]
    assert (await client.complete(prompt, "user")).data == good
    assert client.meter.of("user").retries == 1
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (BUSY, "llm_busy"),
        (BROKEN, "llm_unavailable"),
        ("drop", "llm_unreachable"),
        ("half", "llm_unreachable"),
        ((200, {}, b"<html>proxy</html>"), "llm_bad_response"),
        ((200, {}, b'{"choices": []}'), "llm_bad_response"),
    ],
)
async def test_a_lasting_transient_failure_ends_after_the_retries(client, server, prompt, trouble, reason):
    server.plan = [trouble]
    error = await failure(client, prompt)
    assert isinstance(error, TransientError)
    assert error.reason == reason
    assert len(server.requests) == 3


async def test_a_wish_to_be_left_alone_longer_than_the_deadline_is_passed_on(client, server, prompt):
    server.plan = [(429, {"retry-after": "60"}, b"{}")]
    error = await failure(client, prompt)
    assert (error.reason, error.retry_after_s) == ("llm_busy", 60)
    assert len(server.requests) == 1


async def test_a_busy_server_does_not_open_the_circuit(settings, server, prompt):
    client = LlmClient(settings.model_copy(update={"llm_breaker_failures": 1}))
    server.plan = [BUSY]
    await failure(client, prompt)
    assert not client.breaker.is_open
    await client.close()


async def test_a_hanging_server_ends_at_the_deadline_and_is_not_asked_again(settings, server, prompt):
    client = LlmClient(settings.model_copy(update={"llm_deadline_s": 0.3}))
    server.plan = ["hang"]
    begin = asyncio.get_running_loop().time()
    error = await failure(client, prompt)
    assert isinstance(error, TransientError)
    assert error.reason == "llm_timeout"
    assert asyncio.get_running_loop().time() - begin < 2
    assert len(server.requests) == 1
    await client.close()


async def test_a_server_that_is_down_is_unreachable_and_opens_the_circuit(settings, server, prompt):
    await server.stop()
    client = LlmClient(settings.model_copy(update={"llm_breaker_failures": 2, "llm_retries": 1}))
    error = await failure(client, prompt)
    assert isinstance(error, TransientError)
    assert error.reason == "llm_unreachable"
    with pytest.raises(TransientError) as caught:
        await client.complete(prompt, "user")
    assert caught.value.reason == "llm_circuit_open"
    assert caught.value.retry_after_s > 0
    assert client.meter.of("user").calls == 2
    await client.close()


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_wrong_key_or_model_waits_for_the_operator_instead_of_dead_letters(client, server, prompt, status):
    server.plan = [(status, {}, b"{}")]
    error = await failure(client, prompt)
    assert isinstance(error, TransientError)
    assert error.reason == "llm_misconfigured"
    assert "llm_api_key" in error.message
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refused_prompt_is_terminal_and_not_sent_again(client, server, prompt, status):
    server.plan = [(status, {}, b'{"error": {"message": "context too long"}}')]
    error = await failure(client, prompt)
    assert isinstance(error, TerminalError)
    assert error.reason == "llm_rejected"
    assert len(server.requests) == 1
    assert not client.breaker.is_open


TRUNCATED = '{"factors": {"genre": "Loves'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TRUNCATED, "bad_answer"),
        ('{"factors": {}}', "bad_answer"),
        ("[1, 2]", "bad_answer"),
        ("[" * 20_000, "bad_answer"),
        ("As an AI, I cannot", "bad_answer"),
        ("", "empty_answer"),
        (None, "empty_answer"),
    ],
)
async def test_an_unusable_answer_is_asked_for_once_more_then_terminal(client, server, prompt, text, reason):
    server.plan = [text]
    error = await failure(client, prompt)
    assert isinstance(error, TerminalError)
    assert error.reason == reason
    usage = client.meter.of("user")
    assert (usage.calls, usage.repair_calls, usage.retries, usage.tokens_in) == (2, 1, 0, 200)


async def test_the_repair_attempt_says_what_was_wrong_and_its_tokens_count(client, server, prompt, good):
    server.plan = [TRUNCATED, json.dumps(good)]
    answer = await client.complete(prompt, "user")
    assert answer.data == good
    assert (answer.tokens_in, answer.tokens_out) == (200, 14)
    second = server.requests[1]["messages"]
    assert second[:2] == list(prompt.messages)
    assert second[2] == {"role": "assistant", "content": TRUNCATED}
    assert "not JSON" in second[3]["content"]


async def test_an_answer_cut_at_the_token_limit_is_terminal_however_well_it_parses(client, server, prompt, good):
    server.plan = [json.dumps(good)]
    server.finish_reason = "length"
    error = await failure(client, prompt)
    assert isinstance(error, TerminalError)
    assert error.reason == "answer_cut"
    assert len(server.requests) == 1


async def test_a_content_filter_is_terminal(client, server, prompt):
    server.plan = ["{}"]
    server.finish_reason = "content_filter"
    error = await failure(client, prompt)
    assert isinstance(error, TerminalError)
    assert error.reason == "answer_refused"


async def test_an_answer_of_a_megabyte_is_not_read_to_its_end(client, server, prompt):
    server.plan = ["x" * 1_000_000]
    error = await failure(client, prompt)
    assert isinstance(error, TerminalError)
    assert error.reason == "answer_too_long"
    assert len(server.requests) == 1


async def test_no_more_calls_run_at_once_than_allowed_and_overflow_is_an_error(settings, server, prompt, good):
    client = LlmClient(settings.model_copy(update={"llm_concurrency": 2, "llm_queue": 3}))
    server.plan = [json.dumps(good)]
    server.delay_s = 0.1
    ends = await asyncio.gather(*(client.complete(prompt, "user") for _ in range(8)), return_exceptions=True)
    refused = [end for end in ends if isinstance(end, TransientError)]
    assert [error.reason for error in refused] == ["llm_queue_full"] * 3
    assert server.most_running == 2
    assert client.meter.of("user").answers == 5
    await client.close()


async def test_a_cancelled_call_gives_back_its_turn(settings, server, prompt, good):
    client = LlmClient(settings.model_copy(update={"llm_concurrency": 1, "llm_queue": 0}))
    server.plan = ["hang", json.dumps(good)]
    task = asyncio.create_task(client.complete(prompt, "user"))
    while not server.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await client.complete(prompt, "user")).data == good
    await client.close()


async def test_the_environment_neither_redirects_nor_decorates_calls(monkeypatch, settings, server, prompt, good):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    client = LlmClient(settings)
    server.plan = [json.dumps(good)]
    assert (await client.complete(prompt, "user")).data == good
    assert client._openai.organization is None  # noqa: SLF001 - no public way to see what is not sent
    await client.close()


def test_the_cache_key_changes_with_whatever_changes_the_answer(settings, prompt, scenario, catalogue, titles):
    def key(**change):
        return LlmClient(settings.model_copy(update=change)).cache_key(prompt)

    keys = {key(), key(llm_model="other"), key(llm_temperature=0.5), key(llm_max_tokens=100)}
    assert len(keys) == 4
    assert key(llm_retries=0, llm_base_url="http://127.0.0.1:9/v1") == key()


def test_a_client_without_an_address_says_what_to_set():
    with pytest.raises(TerminalError) as caught:
        LlmClient(KnowledgeSettings(llm="embedded"))
    assert caught.value.reason == "no_llm"


def test_retry_after_is_read_as_seconds_or_as_a_date_and_nonsense_is_ignored():
    assert retry_after("7") == 7
    assert retry_after("999999999") == 300, "no server may put a refresh off for a year"
    assert retry_after(format_datetime(datetime.now(UTC) + timedelta(days=400), usegmt=True)) == 300
    assert retry_after(" 1.5 ") == 1.5
    assert 25 < retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)) <= 30
    assert retry_after(format_datetime(datetime.now(UTC) - timedelta(seconds=30))) == 0
    for nonsense in (None, "soon", "-4", "nan", "inf", "1e99", ""):
        assert retry_after(nonsense) is None
