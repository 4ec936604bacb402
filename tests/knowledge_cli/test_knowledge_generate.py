"""`reki knowledge generate`, as a person types it, against an LLM that counts."""

import signal
import time

import pytest

from knowledge.store import KnowledgeStore


@pytest.fixture
def store(tmp_path):
    return KnowledgeStore(tmp_path / "data" / "knowledge")


def said(store):
    """What each user's newest record says, but for the time."""
    return {
        one.knowledge.entity_id: (one.prompt_hash, one.knowledge.model_dump(exclude={"generated_at"}))
        for one in store.newest("user")
    }


def wait_for(what):
    until = time.monotonic() + 30
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_killed_run_asks_nothing_twice_and_ends_with_the_same_results(reki, start, llm, folder, store, tmp_path):
    llm.delay_s = 0.1
    killed = start("generate", "users", "--from", folder)
    wait_for(lambda: len(llm.prompts) >= 8)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    answered = len(llm.prompts)
    assert 8 <= answered < 24
    llm.delay_s = 0.0
    code, out, err = reki("generate", "users", "--from", folder)
    assert code == 0, err
    assert "24 of 24" in out
    # What was on its way when the kill came (two calls at most) was answered, but to nobody.
    assert len(llm.prompts) <= 24 + 2
    assert len(set(llm.prompts)) == 24
    resumed = said(store)
    assert len(resumed) == 24
    calls = len(llm.prompts)
    assert reki("generate", "users", "--from", folder)[0] == 0
    assert len(llm.prompts) == calls
    assert said(store) == resumed
    lines = (tmp_path / "data" / "knowledge" / "users.jsonl").read_text().splitlines()
    assert len(lines) == 24  # nothing is stored twice either


def test_results_do_not_depend_on_whether_the_run_was_cut_off(reki, start, llm, folder, store, environment, tmp_path):
    llm.delay_s = 0.1
    stopped = start("generate", "users", "--from", folder)
    wait_for(lambda: len(llm.prompts) >= 6)
    stopped.send_signal(signal.SIGINT)
    out, err = stopped.communicate(timeout=30)
    assert stopped.returncode == 130, err
    assert "goes on where this one ended" in out
    before = len(llm.prompts)
    assert before < 24
    assert len(said(store)) == before  # what was on its way was waited for and kept
    llm.delay_s = 0.0
    assert reki("generate", "users", "--from", folder)[0] == 0
    assert len(llm.prompts) == 24
    cut_off = said(store)
    environment["REKI_DATA_DIR"] = str(tmp_path / "other")
    environment["REKI_KNOWLEDGE_CACHE_DIR"] = str(tmp_path / "other" / "answers")
    assert reki("generate", "users", "--from", folder)[0] == 0
    assert said(KnowledgeStore(tmp_path / "other" / "knowledge")) == cut_off


def test_a_dry_run_asks_nothing_and_knows_what_is_answered_already(reki, llm, folder):
    code, out, err = reki("generate", "items", "--from", folder, "--limit", "5")
    assert code == 0, err
    assert len(llm.prompts) == 5
    code, out, err = reki("generate", "items", "--from", folder, "--limit", "12", "--dry-run", "--price-in", "2")
    assert code == 0, err
    assert len(llm.prompts) == 5
    lines = {line.strip()[:28].strip(): line.strip()[28:].strip() for line in out.splitlines()}
    assert lines["calls"] == "7"
    assert lines["answered already (no call)"] == "5"
    assert "measured over 5 calls" in lines["tokens in"]
    assert "tokens/s out, as measured" in lines["time"]
    assert float(lines["money"].split()[0]) > 0
    assert reki("generate", "items", "--from", folder, "--limit", "12")[0] == 0
    assert len(llm.prompts) == 12  # as many as was said


def test_one_bad_answer_does_not_end_the_run(reki, llm, folder, store):
    llm.broken = '\\"22\\"'  # the age of one user
    code, out, err = reki("generate", "users", "--from", folder)
    assert code == 1, err
    assert "1 without knowledge (bad_answer)" in out
    assert len(said(store)) == 23
    llm.broken = ""
    assert reki("generate", "users", "--from", folder)[0] == 0
    assert len(said(store)) == 24


def test_no_address_reaches_a_prompt(reki, llm, folder):
    assert reki("generate", "users", "--from", folder, "--limit", "3")[0] == 0
    assert not [prompt for prompt in llm.prompts if "@" in prompt or "u00" in prompt]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--k", "5"], "--mode collective"),
        (["--from", "nowhere"], "no folder nowhere"),
        ([], "no stack of this clone is up"),
    ],
)
def test_a_wrong_call_is_one_sentence(reki, arguments, words):
    code, _, err = reki("generate", "users", *arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in err
