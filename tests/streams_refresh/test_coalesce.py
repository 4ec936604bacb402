"""One task per user and the newest request wins (window R3 of the crash table)."""

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.base import TerminalError
from streams.coalesce import Coalescer
from streams.requests import RefreshRequest


def request(user: str, rev: int, epoch: int = 0) -> RefreshRequest:
    return RefreshRequest(
        user_id=user, source_rev=rev, epoch=epoch, requested_at=datetime(2026, 1, 1, tzinfo=UTC), reason="test"
    )


class Work:
    """Counts overlapping runs per user; each run lasts until it is let go."""

    def __init__(self) -> None:
        self.served: list[tuple[str, int]] = []
        self.active: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.gate = asyncio.Event()

    async def __call__(self, one: RefreshRequest, newer: asyncio.Event) -> None:
        self.active[one.user_id] += 1
        self.active["*"] += 1
        for name in (one.user_id, "*"):
            self.peak[name] = max(self.peak[name], self.active[name])
        await self.gate.wait()
        await asyncio.sleep(0)
        self.active[one.user_id] -= 1
        self.active["*"] -= 1
        self.served.append((one.user_id, one.source_rev))


async def test_requests_that_arrive_during_a_run_become_one_rerun_for_the_newest() -> None:
    work = Work()
    coalescer = Coalescer(work, 4)
    first = coalescer.submit(request("a", 10))
    await asyncio.sleep(0.01)
    later = [coalescer.submit(request("a", rev)) for rev in (11, 13, 12)]
    work.gate.set()
    await asyncio.gather(first, *later)
    assert work.served == [("a", 10), ("a", 13)]
    assert work.peak["a"] == 1
    assert len(coalescer) == 0


async def test_an_older_request_is_finished_with_the_newer_run_it_met() -> None:
    work = Work()
    coalescer = Coalescer(work, 4)
    newer = coalescer.submit(request("a", 20))
    await asyncio.sleep(0.01)
    older = coalescer.submit(request("a", 15))
    work.gate.set()
    await asyncio.gather(newer, older)
    assert work.served == [("a", 20)]


async def test_a_request_of_a_new_life_is_newer_than_any_of_the_old() -> None:
    work = Work()
    coalescer = Coalescer(work, 4)
    old = coalescer.submit(request("a", 90, epoch=0))
    await asyncio.sleep(0.01)
    new = coalescer.submit(request("a", 10, epoch=1))
    work.gate.set()
    await asyncio.gather(old, new)
    assert work.served == [("a", 90), ("a", 10)]


async def test_a_run_is_told_that_a_newer_request_waits() -> None:
    told: list[bool] = []

    async def work(one: RefreshRequest, newer: asyncio.Event) -> None:
        if one.source_rev == 10:
            await asyncio.wait_for(newer.wait(), 5)
            told.append(True)

    coalescer = Coalescer(work, 1)
    first = coalescer.submit(request("a", 10))
    await asyncio.sleep(0.01)
    await asyncio.gather(first, coalescer.submit(request("a", 11)))
    assert told == [True]


async def test_an_error_reaches_those_who_wait_and_does_not_stop_the_next() -> None:
    async def work(one: RefreshRequest, newer: asyncio.Event) -> None:
        if one.source_rev == 10:
            raise TerminalError("answer_cut", "too long")

    coalescer = Coalescer(work, 1)
    with pytest.raises(TerminalError):
        await coalescer.submit(request("a", 10))
    await coalescer.submit(request("a", 11))


async def test_an_error_of_the_newest_is_not_reported_for_the_older_ones_it_covered() -> None:
    async def work(one: RefreshRequest, newer: asyncio.Event) -> None:
        await asyncio.sleep(0.01)
        raise TerminalError("answer_cut", "too long")

    coalescer = Coalescer(work, 1)
    newest, older = coalescer.submit(request("a", 12)), coalescer.submit(request("a", 11))
    results = await asyncio.gather(newest, older, return_exceptions=True)
    assert [type(result) for result in results] == [TerminalError, type(None)]


async def test_closing_leaves_what_runs_unfinished() -> None:
    work = Work()
    coalescer = Coalescer(work, 1)
    futures = [coalescer.submit(request(user, 1)) for user in ("a", "b")]
    await asyncio.sleep(0.01)
    await coalescer.close()
    assert all(future.cancelled() for future in futures)
    assert work.served == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.booleans()), max_size=30))
def test_any_arrival_order_ends_with_each_users_newest_served_once_at_a_time(
    arrivals: list[tuple[str, int, bool]],
) -> None:
    async def play() -> Work:
        work = Work()
        work.gate.set()
        coalescer = Coalescer(work, 2)
        futures = []
        for user, rev, pause in arrivals:
            futures.append(coalescer.submit(request(user, rev)))
            if pause:
                await asyncio.sleep(0)
        await asyncio.gather(*futures)
        assert len(coalescer) == 0
        return work

    work = asyncio.run(play())
    for user in {user for user, _, _ in arrivals}:
        newest = max(rev for name, rev, _ in arrivals if name == user)
        assert (user, newest) in work.served
        assert work.peak[user] == 1
    assert work.peak["*"] <= 2
