"""Many questions at once: bounded, in patience, and to the end."""

import asyncio
from datetime import UTC, datetime

import pytest

from knowledge.base import Knowledge, TerminalError, TransientError
from knowledge.bulk import Bulk
from knowledge.requests import Extraction


def extraction(item):
    return Extraction(
        Knowledge(
            entity="item",
            entity_id=str(item),
            factors={"genre": "x"},
            mode="individual",
            model="m",
            template_version="t",
            catalogue_version="c",
            source_rev=0,
            generated_at=datetime(2026, 1, 1, tzinfo=UTC),
        ),
        "a" * 64,
        True,
    )


async def run(subjects, ask, *, deliver=None, **options):
    results = []

    async def collect(batch):
        results.extend(batch)

    bulk = Bulk(subjects, ask, deliver or collect, **{"concurrency": 4, "batch_s": 0.01, **options})
    return bulk, await bulk.run(), results


async def test_subjects_are_not_read_far_ahead_of_what_was_delivered():
    read, held = [], asyncio.Event()

    def subjects():
        for n in range(1000):
            read.append(n)
            yield n

    async def ask(subject):
        return extraction(subject)

    async def deliver(batch):
        await held.wait()

    bulk = Bulk(subjects(), ask, deliver, concurrency=4, batch=8, batch_s=0.01)
    running = asyncio.create_task(bulk.run())
    await asyncio.sleep(0.2)
    assert len(read) <= 4 + 8 + 8 + 1
    held.set()
    assert await running
    assert len(read) == 1000


async def test_every_answer_is_delivered_once_and_terminal_errors_are_results():
    running = most = 0

    async def ask(subject):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        if subject == 7:
            raise TerminalError("bad_answer", "no")
        return extraction(subject)

    _, finished, results = await run(range(50), ask)
    assert finished
    assert most == 4
    assert sorted(result.subject for result in results) == list(range(50))
    assert [result.error.reason for result in results if result.extraction is None] == ["bad_answer"]


async def test_an_outage_is_waited_out():
    failures = iter([TransientError("llm_busy", "later", retry_after_s=0.05)] * 3)

    async def ask(subject):
        for failure in failures:
            raise failure
        return extraction(subject)

    _, finished, results = await run(range(5), ask)
    assert finished
    assert len(results) == 5


async def test_a_long_outage_ends_the_run_and_delivers_what_was_answered():
    async def ask(subject):
        if subject >= 3:
            raise TransientError("llm_unreachable", "down")
        return extraction(subject)

    results = []

    async def collect(batch):
        results.extend(batch)

    with pytest.raises(TransientError, match="down"):
        await Bulk(range(10), ask, collect, concurrency=2, patience_s=0.2, batch_s=0.01).run()
    assert sorted(result.subject for result in results) == [0, 1, 2]


async def test_stop_waits_for_what_is_being_asked():
    asked = []

    async def ask(subject):
        asked.append(subject)
        if subject == 2:
            bulk.stop()
        await asyncio.sleep(0.05)
        return extraction(subject)

    results = []

    async def collect(batch):
        results.extend(batch)

    bulk = Bulk(range(100), ask, collect, concurrency=3, batch_s=0.01)
    assert not await bulk.run()
    assert {result.subject for result in results} == set(asked)
    assert len(asked) <= 6


@pytest.mark.parametrize("where", ["deliver", "subjects", "ask"])
async def test_a_bug_ends_the_run_and_is_seen(where):
    def subjects():
        yield from range(20)
        if where == "subjects":
            raise ValueError(where)

    async def ask(subject):
        if where == "ask" and subject == 5:
            raise ValueError(where)
        return extraction(subject)

    async def deliver(batch):
        if where == "deliver":
            raise ValueError(where)

    with pytest.raises(ValueError, match=where):
        await asyncio.wait_for(Bulk(subjects(), ask, deliver, concurrency=2, batch=3, batch_s=0.01).run(), 5)
