"""Many questions to one knowledge source: as many at once as it takes, results as they come, bounded in memory.

Nothing here remembers what was answered: the source's answer cache does, so that a run that was cut off and is started
again asks nothing twice.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from knowledge.base import RekiError, TerminalError, TransientError

T = TypeVar("T")
A = TypeVar("A")
_LONGEST_PAUSE_S = 30.0
_FIRST_PAUSE_S = 0.5


@dataclass(frozen=True)
class Result(Generic[T, A]):
    """What became of one subject: an extraction, or the terminal error that it ended with."""

    subject: T
    extraction: A | None
    error: TerminalError | None = None


Ask = Callable[[T], Awaitable[A]]
Deliver = Callable[[list[Result[T, A]]], Awaitable[None]]


class Bulk(Generic[T, A]):
    """One run. `subjects` is read lazily, in a thread (it may read from a store), never far ahead of the answers.

    `deliver` is given results in batches of at most `batch`, at the latest `batch_s` after the first of them; the run
    goes on only when it returns. `patience_s`: how long transient errors may last, with no answer in between, before
    the run ends. `hopeless`: reasons of transient errors that no waiting mends; the run ends at the first of them.
    """

    def __init__(
        self,
        subjects: Iterable[T],
        ask: Ask[T, A],
        deliver: Deliver[T, A],
        *,
        concurrency: int,
        patience_s: float = 300.0,
        hopeless: Collection[str] = (),
        batch: int = 64,
        batch_s: float = 1.0,
    ) -> None:
        self._subjects: Iterator[T] = iter(subjects)
        self._ask = ask
        self._deliver = deliver
        self._concurrency = concurrency
        self._patience_s = patience_s
        self._hopeless = frozenset(hopeless)
        self._batch = batch
        self._batch_s = batch_s
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._results: asyncio.Queue[Result[T, A] | None] = asyncio.Queue(maxsize=batch)
        self._answered_at = 0.0
        self._failure: RekiError | None = None
        self._left = False  # a subject was taken and given up, because the run was stopped

    def stop(self) -> None:
        """Take no new subject; what is being asked is waited for and delivered."""
        self._stopping.set()

    async def run(self) -> bool:
        """Whether all subjects were dealt with (False: stopped, and some are left).

        Raises `TransientError` when the source or the store stayed away for longer than the patience or for a
        hopeless reason, and whatever `subjects` and `deliver` raise. What was answered until then has been delivered.
        """
        self._answered_at = self._now()
        delivering = asyncio.create_task(self._hand_out())
        askers = [asyncio.create_task(self._serve()) for _ in range(self._concurrency)]
        try:
            await _all_or_first_failure([*askers, delivering], until=askers)
            await self._put(None, delivering)
            await delivering
        finally:
            for task in (*askers, delivering):
                task.cancel()
            await asyncio.gather(*askers, delivering, return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        if not self._stopping.is_set():
            return True
        return not self._left and await asyncio.to_thread(_next, self._subjects) is None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _put(self, value: None, delivering: "asyncio.Task[None]") -> None:
        putting = asyncio.create_task(self._results.put(value))
        await asyncio.wait({putting, delivering}, return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()

    async def _serve(self) -> None:
        while not self._stopping.is_set():
            async with self._turn:
                taken = await asyncio.to_thread(_next, self._subjects)
            if taken is None:
                return
            result = await self._answer(taken[0])
            if result is not None:
                await self._results.put(result)

    async def _answer(self, subject: T) -> Result[T, A] | None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                extraction = await self._ask(subject)
            except TerminalError as error:
                self._answered_at = self._now()
                return Result(subject, None, error)
            except TransientError as error:
                impatient = self._now() - self._answered_at > self._patience_s
                if error.reason in self._hopeless or (impatient and not self._stopping.is_set()):
                    self._failure = error
                    self.stop()
                if self._stopping.is_set():
                    self._left = True
                    return None
                # Jitter, not a secret: askers that failed together must not come back together.
                wait = max(error.retry_after_s or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311
                pause = min(_LONGEST_PAUSE_S, 2 * pause)
                try:
                    await asyncio.wait_for(self._stopping.wait(), wait)
                except TimeoutError:
                    continue
                self._left = True
                return None
            else:
                self._answered_at = self._now()
                return Result(subject, extraction)

    async def _hand_out(self) -> None:
        ended = False
        while not ended:
            first = await self._results.get()
            if first is None:
                return
            batch = [first]
            until = self._now() + self._batch_s
            while len(batch) < self._batch:
                try:
                    async with asyncio.timeout_at(until):
                        result = await self._results.get()
                except TimeoutError:
                    break
                if result is None:
                    ended = True
                    break
                batch.append(result)
            await self._deliver(batch)


def _next(subjects: Iterator[T]) -> tuple[T] | None:
    # In a tuple: StopIteration cannot leave a thread through a future.
    for subject in subjects:
        return (subject,)
    return None


async def _all_or_first_failure(tasks: list["asyncio.Task[None]"], until: list["asyncio.Task[None]"]) -> None:
    waiting = set(tasks)
    while not all(task.done() for task in until):
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
