"""The scheduler on a real Valkey: nobody is published twice for nothing, nobody is lost, everybody learns why not."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from knowledge.base import Polarity, TransientError, from_micros
from streams.budget import TokenBudget
from streams.due import DueCounts
from streams.leader import Leader
from streams.redis_time import redis_micros
from streams.requests import RefreshRequest
from streams.scheduler import Scheduler
from streams.settings import StreamSettings
from streams.state import RingEntry

pytestmark = pytest.mark.services
SECOND = 1_000_000


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def published():
    return []


@pytest.fixture
def scheduler(client, store, due, executor, published):
    async def publish(request: RefreshRequest) -> None:
        published.append(request)

    settings = StreamSettings(refresh_min_events=3, refresh_settle_s=5, refresh_max_delay_s=20, refresh_debounce_s=60)
    return Scheduler(client, store, due, settings, publish, TokenBudget(1e6, 100), executor)


def seed(store, client, user: str, events: int, *, ago_s: float = 60.0) -> None:
    at = redis_micros(client) - int(ago_s * SECOND)
    entries = [RingEntry(f"e{rev}", f"i{rev}", 4.0, Polarity.LIKED, at, -1, rev, at) for rev in range(1, events + 1)]
    assert store.seed(user, entries, {}) is not None


def ago(client, seconds: float):
    return from_micros(redis_micros(client) - int(seconds * SECOND))


async def test_a_due_user_is_asked_about_once_and_the_request_says_why(scheduler, client, store, due, published):
    seed(store, client, "a", 4)
    due.mark("a", ago(client, 1), 0.4)
    assert await scheduler.tick() == 1
    assert await scheduler.tick() == 0
    [request] = published
    assert (request.user_id, request.source_rev, request.epoch) == ("a", 4, 0)
    assert request.reason == "4 new events, 3 needed"
    assert request.drift == 0.4
    state = store.read("a")
    assert state.requested_rev == 4
    assert state.requested_at > 0
    assert due.counts().leased == 1


async def test_a_user_refreshed_meanwhile_is_let_go_and_waiters_are_told(scheduler, client, store, due, published):
    seed(store, client, "a", 4)
    store.update("a", 0, refreshed_rev=3, refreshed_at=redis_micros(client))
    due.mark("a", ago(client, 1))
    assert await scheduler.tick() == 0
    assert published == []
    assert store.read("a").decision == {"rev": 4, "due": False, "reason": "1 new event, 3 needed"}
    # Looked at again when age alone would make the user due, and not before.
    assert due.counts() == DueCounts(due=0, later=1, leased=0, waiting=0)


async def test_a_burst_still_going_on_is_waited_out(scheduler, client, store, due, published):
    seed(store, client, "a", 4, ago_s=1)
    due.mark("a", ago(client, 1))
    assert await scheduler.tick() == 0
    assert due.counts().later == 1  # back in the set, at the time when the burst has settled
    assert [one.user_id for one in due.pop_due(from_micros(redis_micros(client) + 5 * SECOND), 5)] == ["a"]


async def test_a_mark_of_a_forgotten_or_unknown_user_is_dropped(scheduler, due, client, published):
    due.mark("nobody", ago(client, 1), 0.3)
    assert await scheduler.tick() == 0
    assert published == []
    assert [key for key in due.keys if client.exists(key)] == []


async def test_a_request_that_the_broker_did_not_take_is_not_counted_as_made(client, store, due, executor):
    async def refuse(request: RefreshRequest) -> None:
        raise TransientError("broker_unavailable", "down")

    settings = StreamSettings(refresh_min_events=3, refresh_settle_s=5)
    scheduler = Scheduler(client, store, due, settings, refuse, TokenBudget(1e6, 100), executor)
    seed(store, client, "a", 4)
    due.mark("a", ago(client, 1))
    with pytest.raises(TransientError):
        await scheduler.tick()
    assert store.read("a").requested_rev == 0
    later = from_micros(redis_micros(client) + 11 * SECOND)
    assert [one.user_id for one in due.pop_due(later, 5)] == ["a"]  # its short lease ran out


async def test_the_budget_holds_users_back_without_losing_them(client, store, due, executor, published):
    async def publish(request: RefreshRequest) -> None:
        published.append(request.user_id)

    settings = StreamSettings(refresh_min_events=3, refresh_settle_s=5)
    budget = TokenBudget(200, 100)
    scheduler = Scheduler(client, store, due, settings, publish, budget, executor)
    for number, user in enumerate("abcd"):
        seed(store, client, user, 4)
        due.mark(user, ago(client, 1), number / 10)
    assert await scheduler.tick() == 2
    assert published == ["d", "c"]
    assert due.counts().due == 2


async def test_only_one_worker_schedules_and_another_takes_over(scheduler, client, store, due, published):
    other = Leader(client, f"{due.keys[0]}:leader", lease_s=30)
    assert other.hold()
    seed(store, client, "a", 4)
    due.mark("a", ago(client, 1))
    assert await scheduler.tick() == 0
    other.release()
    assert await scheduler.tick() == 1
    assert not other.hold()
