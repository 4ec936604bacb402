"""A concurrency limit whose waiting room is bounded: overflow is an error, not a memory leak."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from knowledge.base import TransientError


class Limiter:
    """At most `max_running` bodies at once, at most `max_queued` waiting for their turn, first come first served."""

    def __init__(self, max_running: int, max_queued: int) -> None:
        self.max_running = max_running
        self.max_queued = max_queued
        self._free = asyncio.Semaphore(max_running)
        self._inside = 0

    @property
    def queued(self) -> int:
        """How many wait."""
        return max(0, self._inside - self.max_running)

    @asynccontextmanager
    async def turn(self, until: float) -> AsyncIterator[None]:
        """Wait for a turn, at most until the event loop's clock shows `until`.

        Raises:
            TransientError: `llm_queue_full` at once if the waiting room is full, `llm_queue_slow` if no turn came.
        """
        if self._inside >= self.max_running + self.max_queued:
            raise TransientError(
                "llm_queue_full",
                f"{self.max_running} LLM calls are running and {self.max_queued} are waiting: ask again later, "
                "or raise llm_concurrency or llm_queue",
                retry_after_s=1.0,
            )
        self._inside += 1
        try:
            try:
                async with asyncio.timeout_at(until):
                    await self._free.acquire()
            except TimeoutError:
                raise TransientError(
                    "llm_queue_slow", "no turn for an LLM call within llm_deadline_s: raise llm_concurrency"
                ) from None
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._inside -= 1
