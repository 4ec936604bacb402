"""Answers about a user can be found and erased, though neither prompt nor answer names the user."""

import json

import pytest
from knowledge_parts import START, entry

from knowledge.base import FixedClock
from knowledge.cache import AnswerCache, CachedAnswer
from knowledge.client import LlmClient
from knowledge.live import LiveSource
from knowledge.prompt_index import PromptIndex

KEYS = ["a" * 64, "b" * 64, "c" * 64]


@pytest.fixture
def cache(tmp_path):
    return AnswerCache(tmp_path / "answers")


@pytest.fixture
def index(cache):
    return PromptIndex(cache)


def keep(cache, key):
    cache.put(key, CachedAnswer({"factors": {}}, "m", START, 1, 0, 1))


def files(cache):
    return sorted(path.name for path in cache.folder.rglob("*") if path.is_file())


def test_forgetting_erases_what_is_listed_and_what_the_state_names_and_nothing_of_others(cache, index):
    for key in KEYS:
        keep(cache, key)
    index.add("u1", KEYS[0])
    index.add("u2", KEYS[2])
    assert index.forget("u1", also=[KEYS[1], "no-key", "../../etc/passwd"]) == 2
    assert [cache.get(key) is None for key in KEYS] == [True, True, False]
    assert (index.keys("u1"), index.keys("u2")) == ((), (KEYS[2],))
    assert index.forget("u1") == 0


def test_a_key_is_listed_once_however_often_it_is_answered_and_two_processes_may_write(cache, index):
    other = PromptIndex(AnswerCache(cache.folder))
    for key in (KEYS[0], KEYS[1], KEYS[0]):
        index.add("u1", key)
        other.add("u1", key)
    assert index.keys("u1") == other.keys("u1") == (KEYS[0], KEYS[1])


def test_the_index_names_no_user_and_is_for_its_owner_only(cache, index):
    index.add("anna@example.org", KEYS[0])
    [path] = [path for path in cache.folder.rglob("*") if path.is_file()]
    assert "anna" not in str(path.relative_to(cache.folder))
    assert "anna" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_a_line_that_a_crash_cut_off_costs_no_other(cache, index):
    index.add("u1", KEYS[0])
    [path] = [path for path in cache.folder.rglob("*") if path.is_file()]
    path.write_text(f"{KEYS[0]}\n{KEYS[1][:30]}\n{KEYS[2]}\n")
    assert index.keys("u1") == (KEYS[0], KEYS[2])


@pytest.fixture
async def live(settings, scenario, catalogue, titles):
    cache = AnswerCache(settings.knowledge_cache_dir)
    source = LiveSource(LlmClient(settings), scenario, catalogue, titles, cache, clock=FixedClock(START))
    yield source
    await source.close()


async def test_every_cached_answer_about_a_user_is_listed_and_none_is_left_of_a_forgotten_one(
    live, settings, server, request_of, good
):
    server.plan = [json.dumps(good)]
    first = await live.user(request_of("user-7f3a"))
    second = await live.user(request_of("user-7f3a", history=[entry("9", 5, 3)]))
    await live.user(request_of("user-9b2c", history=[entry("10", 5, 3)]))
    cache = AnswerCache(settings.knowledge_cache_dir)
    index = PromptIndex(cache)
    assert index.keys("user-7f3a") == (first.prompt_hash, second.prompt_hash)
    assert index.forget("user-7f3a") == 2
    assert len(files(cache)) == 2  # one answer about the other, and their list
    assert (await live.user(request_of("user-7f3a"))).called


async def test_an_answer_that_cannot_be_listed_is_not_kept(live, settings, server, request_of, good):
    settings.knowledge_cache_dir.mkdir(parents=True)
    (settings.knowledge_cache_dir / "by-user").write_text("a file where the folder should be")
    server.plan = [json.dumps(good)]
    assert (await live.user(request_of())).knowledge.factors
    assert list(settings.knowledge_cache_dir.rglob("*.json")) == []
    assert live.meter.of("user").failures == {"cache_unwritable": 1}
