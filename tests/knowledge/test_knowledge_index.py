"""Answers about a user can be found and erased, though neither prompt nor answer names the user."""

import asyncio
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
    assert len(files(cache)) == 3  # one answer about the other, their list, and who was forgotten when
    assert (await live.user(request_of("user-7f3a"))).called


async def test_an_answer_that_cannot_be_listed_is_not_kept(live, settings, server, request_of, good):
    settings.knowledge_cache_dir.mkdir(parents=True)
    (settings.knowledge_cache_dir / "by-user").write_text("a file where the folder should be")
    server.plan = [json.dumps(good)]
    assert (await live.user(request_of())).knowledge.factors
    assert list(settings.knowledge_cache_dir.rglob("*.json")) == []
    assert live.meter.of("user").failures == {"cache_unwritable": 1}


async def test_an_answer_that_was_on_its_way_when_its_user_was_forgotten_is_not_kept(
    live, settings, server, request_of, good
):
    index = PromptIndex(AnswerCache(settings.knowledge_cache_dir))
    server.plan = [json.dumps(good)]
    asking = asyncio.create_task(live.user(request_of("user-7f3a")))
    while not server.requests:
        await asyncio.sleep(0.001)
    assert index.forget("user-7f3a") == 0
    assert (await asking).called
    assert index.keys("user-7f3a") == ()
    assert list(settings.knowledge_cache_dir.rglob("*.json")) == []
    # A new life is asked about, and what is answered is kept.
    key = (await live.user(request_of("user-7f3a"))).prompt_hash
    assert index.keys("user-7f3a") == (key,)
    assert not (await live.user(request_of("user-7f3a"))).called


def test_what_is_known_of_people_is_in_folders_for_their_owner_only(cache, index):
    index.keep("u1", KEYS[0], CachedAnswer({}, "m", START, 1, 0, 1), START)
    index.forget("u2")
    folders = [cache.folder, *(path for path in cache.folder.rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o077 for path in folders} == {0}
    assert {path.stat().st_mode & 0o077 for path in cache.folder.rglob("*") if path.is_file()} == {0}


@pytest.mark.parametrize(
    "damage",
    [
        {"tokens_in": "x"},
        {"tokens_out": -1},
        {"tokens_cached": 10**30},
        {"tokens_in": True},
        {"model": 5},
        {"data": []},
        {"data": {"genre": "\ud800"}},
        {"data": {"genre": float("nan")}},
        {"generated_at": 5},
        {"generated_at": "2026-01-01T00:00:00"},
        {"more": 1},
    ],
)
def test_a_damaged_answer_counts_as_absent_and_is_replaced(cache, damage):
    keep(cache, KEYS[0])
    [path] = cache.folder.rglob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    assert cache.get(KEYS[0]) is None
    keep(cache, KEYS[0])
    assert cache.get(KEYS[0]) is not None


@pytest.mark.parametrize("text", ["[" * 300_000, '{"data":' + "[" * 300_000, "[]", "null", '{"generated_at":', "\xff"])
def test_an_answer_file_of_any_content_ends_no_run(cache, text):
    keep(cache, KEYS[0])
    [path] = cache.folder.rglob("*.json")
    path.write_text(text, encoding="latin-1")
    assert cache.get(KEYS[0]) is None


def test_an_answer_with_half_a_character_is_kept_and_nothing_of_a_killed_writer_outlives_forgetting(cache, index):
    index.keep("u1", KEYS[0], CachedAnswer({"genre": "\ud800 warm"}, "m", START, 1, 0, 1), START)
    assert cache.get(KEYS[0]).data == {"genre": "? warm"}
    [path] = cache.folder.rglob("*.json")
    (path.parent / f".new-{KEYS[0]}-abc").write_text("half of it")
    index.forget("u1", also=[5, None])
    assert list(path.parent.iterdir()) == []
