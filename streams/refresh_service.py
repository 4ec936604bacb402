"""The handler of topic `refresh-requests`: many users at once, one task per user, commits in order.

Driven by the consumer loop: a partition is committed up to its first unfinished request. A request waits in place
while the LLM or a store is away; nothing is reordered and the previous knowledge keeps serving.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from knowledge.base import TerminalError, TransientError
from streams.coalesce import Coalescer
from streams.consumer import Place, Progress
from streams.durability import Durability
from streams.refresh_metrics import RefreshMetrics
from streams.refresher import Refresher
from streams.requests import RefreshRequest, parse_request

log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 30.0


def backoff_s(attempt: int, first_s: float, wished_s: float | None, draw: float) -> float:
    """Wait before attempt number `attempt` + 1: doubling from `first_s`, at most 30 s, `draw` in [0, 1) as jitter.

    The other side's own wish (Retry-After) counts as the least.
    """
    doubled = min(_LONGEST_WAIT_S, first_s * 2.0 ** min(attempt - 1, 16))
    return max(wished_s or 0.0, doubled * (0.5 + draw / 2))


class RefreshHandler:
    """`streams.consumer.Handler` for refresh requests.

    `dead_letter` returns when the broker has the dead letter. A commit waits until `durability` says that what was
    written is on disk. So many requests are taken before the loop pauses its partitions that all users have work.
    """

    def __init__(
        self,
        refresher: Refresher,
        dead_letter: Callable[[Any, TerminalError], Awaitable[None]],
        durability: Durability,
        metrics: RefreshMetrics,
        concurrency: int,
        retry_s: float,
    ) -> None:
        self._refresher = refresher
        self._dead_letter = dead_letter
        self._durability = durability
        self._settler = ThreadPoolExecutor(1, "refresh-settle")
        self._begun = False
        self._metrics = metrics
        self._retry_s = retry_s
        self._room = max(64, 16 * concurrency)
        self._coalescer = Coalescer(self._serve, concurrency)
        self._open: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None

    async def handle(self, records: Mapping[Place, Sequence[Any]], progress: Progress) -> None:
        """Take requests; each is finished by its own task."""
        self._raise_if_broken()
        if not self._begun:
            await self._settling(self._durability.begin)
            self._begun = True
        for place, batch in records.items():
            for record in batch:
                task = asyncio.create_task(self._take(record, place, progress, progress.version))
                self._open.add(task)
                task.add_done_callback(self._ended)

    def ready(self) -> bool:
        """Whether more requests may be taken."""
        return len(self._open) < self._room

    async def flush(self) -> None:
        """Every refresh has flushed its own rows before it counts as finished; there is nothing left to do."""
        self._raise_if_broken()

    async def settle(self, offsets: Mapping[Place, int]) -> None:
        """Wait until the stores have what was written on disk."""
        settled = {f"{place.topic}:{place.partition}": offset - 1 for place, offset in offsets.items()}
        await self._settling(lambda: self._durability.settle(settled))

    async def assigned(self, places: Sequence[Place]) -> None:
        """A new assignment needs no preparation."""

    async def voided(self) -> None:
        """Tasks go on: what they do is idempotent, and to cancel them would pay for their LLM calls twice.

        A request that is read again meets the running task of its user and is finished with it.
        """
        self._begun = False  # Redis may have been restarted: it is taken as it is then

    async def close(self) -> None:
        """Stop: unfinished requests stay uncommitted and are read again."""
        await self._coalescer.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        self._settler.shutdown()
        self._durability.close()

    def in_flight(self) -> int:
        """Requests taken and not finished."""
        return len(self._open)

    async def _settling(self, call: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._settler, call)

    async def _take(self, record: Any, place: Place, progress: Progress, version: int) -> None:  # noqa: ANN401
        self._metrics.requests.inc()
        request = None
        try:
            request = parse_request(record.key, record.value)
            if request is not None:
                await self._coalescer.submit(request)
        except TerminalError as error:
            await self._give_up(record, place, request, error)
        progress.done(place, record.offset, version)

    async def _give_up(
        self,
        record: Any,  # noqa: ANN401 - aiokafka's ConsumerRecord
        place: Place,
        request: RefreshRequest | None,
        error: TerminalError,
    ) -> None:
        self._metrics.dead_letters.labels(error.reason).inc()
        log.warning("request %s-%d@%d: %s: %s", place.topic, place.partition, record.offset, error.reason, error)
        await self._patiently(lambda: self._dead_letter(record, error))
        if request is not None:
            await self._patiently(lambda: self._refresher.fail(request, error.reason))

    async def _serve(self, request: RefreshRequest, newer: asyncio.Event) -> None:
        """Serve one request; returns early when a newer one of the user waits during an outage."""
        attempt = 0
        while True:
            try:
                refreshed = await self._refresher.refresh(request)
            except TransientError as error:
                attempt += 1
                if await self._pause(attempt, error, newer):
                    return
            else:
                self._metrics.ended(refreshed)
                return

    async def _patiently(self, call: Callable[[], Awaitable[None]]) -> None:
        attempt = 0
        while True:
            try:
                return await call()
            except TransientError as error:
                attempt += 1
                await self._pause(attempt, error, asyncio.Event())

    async def _pause(self, attempt: int, error: TransientError, newer: asyncio.Event) -> bool:
        """Wait before the next attempt; True = a newer request of this user has arrived."""
        self._metrics.transient.labels(error.reason).inc()
        if attempt in (1, 10, 100):  # an outage is worth a line, not a line per user and attempt
            log.warning("refresh waits (attempt %d): %s", attempt, error)
        wait = backoff_s(attempt, self._retry_s, error.retry_after_s, random.random())  # noqa: S311 - jitter
        try:
            await asyncio.wait_for(newer.wait(), wait)
        except TimeoutError:
            return False
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._broken = task.exception()

    def _raise_if_broken(self) -> None:
        # An error that is neither terminal nor transient is a bug of ours: the loop ends the process, nothing is
        # committed past it, and the supervisor starts a fresh one.
        if self._broken is not None:
            raise self._broken
