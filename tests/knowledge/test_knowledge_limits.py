import asyncio
from datetime import timedelta

import pytest
from knowledge_parts import START

from knowledge.base import FixedClock, TransientError
from knowledge.breaker import CircuitBreaker
from knowledge.cache import AnswerCache, CachedAnswer
from knowledge.limit import Limiter
from knowledge.meter import Meter


@pytest.fixture
def clock():
    return FixedClock(START)


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(clock, failures=3, open_s=10)


def fail(breaker, times=1):
    for _ in range(times):
        with breaker.attempt():
            breaker.failed("llm_timeout")


def refused(breaker):
    with pytest.raises(TransientError) as caught, breaker.attempt():
        pytest.fail("the body ran")
    assert caught.value.reason == "llm_circuit_open"
    assert "llm_timeout" in caught.value.message
    return caught.value.retry_after_s


def test_the_circuit_opens_only_after_failures_in_a_row(breaker):
    fail(breaker, 2)
    with breaker.attempt():
        breaker.succeeded()
    fail(breaker, 2)
    assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open


def test_an_open_circuit_refuses_and_says_for_how_long(breaker, clock):
    fail(breaker, 3)
    assert refused(breaker) == 10
    clock.at += timedelta(seconds=8.5)
    assert refused(breaker) == 1.5


def test_after_the_pause_one_probe_decides_and_others_wait_for_it(breaker, clock):
    fail(breaker, 3)
    clock.at += timedelta(seconds=10)
    with breaker.attempt():
        refused(breaker)
        breaker.succeeded()
    assert not breaker.is_open
    fail(breaker, 2)
    assert not breaker.is_open


def test_a_failed_probe_opens_the_circuit_again_at_once(breaker, clock):
    fail(breaker, 3)
    clock.at += timedelta(seconds=10)
    fail(breaker)
    assert refused(breaker) == 10


def test_a_cancelled_probe_does_not_block_the_next_one(breaker, clock):
    fail(breaker, 3)
    clock.at += timedelta(seconds=10)
    with pytest.raises(asyncio.CancelledError), breaker.attempt():
        raise asyncio.CancelledError
    with breaker.attempt():
        breaker.succeeded()
    assert not breaker.is_open


def test_a_clock_set_back_does_not_keep_the_circuit_open(breaker, clock):
    fail(breaker, 3)
    clock.at -= timedelta(hours=1)
    with breaker.attempt():
        breaker.succeeded()
    assert not breaker.is_open


async def hold(limiter, release, seen):
    async with limiter.turn(asyncio.get_running_loop().time() + 5):
        seen.append(1)
        await release.wait()


async def test_a_full_queue_is_an_error_not_a_leak():
    limiter, release, seen = Limiter(2, 1), asyncio.Event(), []
    tasks = [asyncio.create_task(hold(limiter, release, seen)) for _ in range(3)]
    await asyncio.sleep(0)
    assert (len(seen), limiter.queued) == (2, 1)
    with pytest.raises(TransientError) as caught:
        await hold(limiter, release, seen)
    assert caught.value.reason == "llm_queue_full"
    release.set()
    await asyncio.gather(*tasks)
    assert (len(seen), limiter.queued) == (3, 0)


async def test_whoever_waits_too_long_or_is_cancelled_gives_back_their_place():
    limiter, release, seen = Limiter(1, 1), asyncio.Event(), []
    holder = asyncio.create_task(hold(limiter, release, seen))
    await asyncio.sleep(0)
    with pytest.raises(TransientError) as caught:
        async with limiter.turn(asyncio.get_running_loop().time() + 0.01):
            pytest.fail("the body ran")
    assert caught.value.reason == "llm_queue_slow"
    waiter = asyncio.create_task(hold(limiter, release, seen))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert limiter.queued == 0
    release.set()
    await holder
    await hold(limiter, release, seen)
    assert len(seen) == 2


KEY = "ab" * 32


@pytest.fixture
def cache(tmp_path):
    return AnswerCache(tmp_path / "answers")


@pytest.fixture
def answer():
    return CachedAnswer({"factors": {"genre": "Loves ‘noir’"}}, "m", START, 10, 3, 5)  # noqa: RUF001 - any character


def test_an_answer_comes_back_as_it_was_from_a_new_process_too(cache, answer, tmp_path):
    cache.put(KEY, answer)
    assert AnswerCache(tmp_path / "answers").get(KEY) == answer
    assert cache.get("cd" * 32) is None


def test_an_erased_answer_is_gone_and_erasing_again_says_so(cache, answer, tmp_path):
    cache.put(KEY, answer)
    assert cache.erase(KEY) is True
    assert cache.get(KEY) is None
    assert cache.erase(KEY) is False
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"data": 3}', "\x00\xff"])
def test_a_damaged_file_counts_as_absent_and_is_overwritten(cache, answer, tmp_path, damage):
    cache.put(KEY, answer)
    (path,) = (path for path in tmp_path.rglob("*.json"))
    path.write_bytes(damage.encode("latin-1"))
    assert cache.get(KEY) is None
    cache.put(KEY, answer)
    assert cache.get(KEY) == answer


def test_answers_about_people_are_for_their_owner_only(cache, answer, tmp_path):
    cache.put(KEY, answer)
    for path in (tmp_path / "answers").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("key", ["../../etc/passwd", "", "AB" * 32, "ab" * 31])
def test_a_key_never_becomes_a_path_of_its_own_choosing(cache, key):
    with pytest.raises(ValueError, match="64"):
        cache.erase(key)


def test_a_folder_that_cannot_be_written_is_a_transient_error(answer, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TransientError) as caught:
        AnswerCache(tmp_path / "file").put(KEY, answer)
    assert caught.value.reason == "cache_unwritable"


def test_the_meter_speaks_prometheus_names():
    meter = Meter()
    meter.of("user").calls += 2
    meter.of("item").tokens_in += 9
    meter.of("user").failures["llm_busy"] += 1
    samples = {(name, tuple(labels.values())): value for name, labels, value in meter.samples()}
    assert samples["reki_llm_calls_total", ("user",)] == 2
    assert samples["reki_llm_tokens_total", ("item", "in")] == 9
    assert samples["reki_llm_failures_total", ("user", "llm_busy")] == 1
    assert meter.total("tokens_in") == 9
