"""One task at a time per user, the newest request wins (window R3)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from streams.requests import RefreshRequest


@dataclass
class _Running:
    current: RefreshRequest
    waiting: list[tuple[RefreshRequest, asyncio.Future[None]]] = field(default_factory=list)
    newer: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Coalescer:
    """Runs `work(request, newer)` for each user's newest request.

    A request that arrives while another of the same user runs waits; when the run ends, every waiting request that it
    covers is finished with it, and the newest of the rest runs next on behalf of all. `newer` is set as soon as a newer
    request waits, so that a run stuck in a retry may give up in its favour (by returning). At most `concurrency` runs
    are active at once. An exception of `work` reaches the request it was given; older ones are done.
    """

    def __init__(self, work: Callable[[RefreshRequest, asyncio.Event], Awaitable[None]], concurrency: int) -> None:
        self._work = work
        self._slots = asyncio.Semaphore(concurrency)
        self._users: dict[str, _Running] = {}

    def __len__(self) -> int:
        """Users with a run or a wait."""
        return len(self._users)

    def submit(self, request: RefreshRequest) -> asyncio.Future[None]:
        """Have `request` served; the future is done when it was, or when a newer one was in its place."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        running = self._users.get(request.user_id)
        if running is None:
            running = self._users[request.user_id] = _Running(request)
            running.task = asyncio.create_task(self._run(request.user_id, running))
        elif request.order > running.current.order:
            running.newer.set()
        running.waiting.append((request, future))
        return future

    async def close(self) -> None:
        """Cancel what runs; its requests stay unfinished (and uncommitted)."""
        tasks = [running.task for running in self._users.values() if running.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._users.clear()

    async def _run(self, user_id: str, running: _Running) -> None:
        try:
            while running.waiting:
                await self._serve_newest(user_id, running)
        except asyncio.CancelledError:
            for _, future in running.waiting:
                future.cancel()
            raise

    async def _serve_newest(self, user_id: str, running: _Running) -> None:
        error: Exception | None = None
        async with self._slots:
            # Chosen after the wait for a slot: what arrived meanwhile is already newer.
            running.current = max((request for request, _ in running.waiting), key=lambda one: one.order)
            running.newer.clear()
            try:
                await self._work(running.current, running.newer)
            except Exception as raised:  # handed to whoever waits for this request
                error = raised
        covered = [pair for pair in running.waiting if pair[0].order <= running.current.order]
        running.waiting = [pair for pair in running.waiting if pair[0].order > running.current.order]
        if not running.waiting:
            del self._users[user_id]  # before the futures: their callbacks may submit again
        for request, future in covered:
            if future.done():
                continue
            if error is None or request.order < running.current.order:
                future.set_result(None)
            else:
                future.set_exception(error)
