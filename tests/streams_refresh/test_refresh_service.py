"""The handler between consumer loop and refresher: what may be committed, and when."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.base import TerminalError, TransientError
from streams.budget import TokenBudget
from streams.progress import Place, Progress
from streams.refresh_metrics import RefreshMetrics
from streams.refresh_service import RefreshHandler, backoff_s
from streams.refresher import Refreshed, RefreshEnd
from streams.requests import encode_request
from tests.streams_refresh.test_coalesce import request

PLACE = Place("requests", 0)


class Refresher:
    """Serves each request as its script says; unscripted ones at once."""

    def __init__(self) -> None:
        self.gates = {}
        self.errors = {}
        self.served = []
        self.failed = []

    async def refresh(self, one):
        if gate := self.gates.get(one.user_id):
            await gate.wait()
        if errors := self.errors.get(one.user_id):
            raise errors.pop(0)
        self.served.append((one.user_id, one.source_rev))
        return Refreshed(RefreshEnd.OLD, one)

    async def fail(self, one, reason):
        self.failed.append((one.user_id, one.source_rev, reason))


class Durability:
    def __init__(self) -> None:
        self.begun = 0
        self.settled = []

    def begin(self):
        self.begun += 1

    def settle(self, applied):
        self.settled.append(applied)

    def close(self):
        pass


class Bench:
    def __init__(self) -> None:
        self.refresher, self.durability, self.letters, self.progress = Refresher(), Durability(), [], Progress()
        self.handler = RefreshHandler(
            self.refresher, self._letter, self.durability, RefreshMetrics(TokenBudget(1e6, 1)), 4, 0.001
        )
        self.offset = 0

    async def _letter(self, record, error):
        self.letters.append((record.offset, error.reason))

    async def read(self, *requests):
        records = []
        for one in requests:
            key, value = (b"x", b"poison") if one is None else encode_request(one)
            records.append(SimpleNamespace(topic=PLACE.topic, partition=0, offset=self.offset, key=key, value=value))
            self.offset += 1
        self.progress.take(PLACE, [record.offset for record in records])
        await self.handler.handle({PLACE: records}, self.progress)

    async def quiet(self):
        for _ in range(200):
            await asyncio.sleep(0.002)
            if not self.handler.in_flight():
                return


@pytest.fixture
async def bench():
    made = Bench()
    yield made
    await made.handler.close()


async def test_a_partition_is_committed_up_to_its_first_unfinished_request(bench):
    gate = bench.refresher.gates["slow"] = asyncio.Event()
    await bench.read(request("a", 1), request("slow", 1), request("b", 1))
    await asyncio.sleep(0.05)
    assert bench.refresher.served == [("a", 1), ("b", 1)]
    assert bench.progress.committable() == {PLACE: 1}
    gate.set()
    await bench.quiet()
    assert bench.progress.committable() == {PLACE: 3}


async def test_an_outage_retries_in_place_and_a_newer_request_takes_over(bench):
    bench.refresher.errors["a"] = [TransientError("llm_unreachable", "down")] * 3
    await bench.read(request("a", 1))
    await bench.read(request("a", 2))
    await bench.quiet()
    assert bench.refresher.served == [("a", 2)]
    assert bench.letters == []
    assert bench.progress.committable() == {PLACE: 2}


async def test_a_refused_request_is_dead_lettered_and_noted_before_it_counts_as_done(bench):
    bench.refresher.errors["a"] = [TerminalError("answer_cut", "cut")]
    await bench.read(request("a", 1), None)
    await bench.quiet()
    assert sorted(bench.letters) == [(0, "answer_cut"), (1, "bad_request")]
    assert bench.refresher.failed == [("a", 1, "answer_cut")]
    assert bench.progress.committable() == {PLACE: 2}


async def test_a_bug_stops_the_loop_and_commits_nothing(bench):
    bench.refresher.errors["a"] = [ZeroDivisionError()]
    await bench.read(request("a", 1))
    await bench.quiet()
    assert bench.progress.committable() == {}
    with pytest.raises(ZeroDivisionError):
        await bench.handler.flush()


async def test_a_rebalance_neither_cancels_a_paid_call_nor_counts_it_for_the_new_assignment(bench):
    gate = bench.refresher.gates["a"] = asyncio.Event()
    await bench.read(request("a", 1))
    await asyncio.sleep(0.01)
    bench.progress.void()
    await bench.handler.voided()
    bench.offset = 0
    await bench.read(request("a", 1))
    gate.set()
    await bench.quiet()
    assert bench.refresher.served == [("a", 1)]
    assert bench.progress.committable() == {PLACE: 1}
    assert bench.durability.begun == 2  # Redis may have been another since


async def test_too_many_open_requests_pause_the_partitions(bench):
    gate = bench.refresher.gates["slow"] = asyncio.Event()
    await bench.read(*[request("slow", rev) for rev in range(1, 70)])
    assert not bench.handler.ready()
    gate.set()
    await bench.quiet()
    assert bench.handler.ready()


async def test_nothing_is_committed_before_it_is_on_disk(bench):
    await bench.read(request("a", 1))
    await bench.quiet()
    await bench.handler.settle(bench.progress.committable())
    assert bench.durability.settled == [{"requests:0": 0}]


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.one_of(st.none(), st.floats(0, 1000)), st.floats(0, 0.999))
def test_waits_grow_to_a_limit_and_keep_the_other_sides_wish(attempt, first_s, wished_s, draw):
    wait = backoff_s(attempt, first_s, wished_s, draw)
    assert wait >= (wished_s or 0)
    assert wait <= max(30.0, wished_s or 0)
    assert wait >= min(15.0, first_s / 2)
