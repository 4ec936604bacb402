"""The `getmany` loop of `docs/streams.md`: hand records to a handler, commit what is finished and nothing else."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, order=True)
class Place:
    """A topic's partition."""

    topic: str
    partition: int


class Progress:
    """Which records are taken and which are finished, per partition; several may be in flight at once.

    A partition is committable up to, and not including, its first unfinished record.
    """

    def __init__(self) -> None:
        self.version = 0  # raised when everything in flight is void (rebalance, seek back)
        self._open: dict[Place, set[int]] = {}
        self._next: dict[Place, int] = {}
        self._committed: dict[Place, int] = {}

    def take(self, place: Place, offsets: Sequence[int]) -> None:
        """Records were handed to the handler."""
        if offsets:
            self._open.setdefault(place, set()).update(offsets)
            self._next[place] = max(offsets) + 1

    def done(self, place: Place, offset: int, version: int | None = None) -> None:
        """A record is finished; ignored if it was taken before the last `void` (pass the version of that time)."""
        if version is None or version == self.version:
            self._open.get(place, set()).discard(offset)

    def committable(self) -> dict[Place, int]:
        """Partition -> next offset to read, for partitions that moved since they were committed."""
        result = {}
        for place, after in self._next.items():
            open_offsets = self._open.get(place)
            target = min(open_offsets) if open_offsets else after
            if target > self._committed.get(place, -1) and target > 0:
                result[place] = target
        return result

    def committed(self, offsets: Mapping[Place, int]) -> None:
        """These were committed."""
        self._committed.update(offsets)

    def pending(self) -> int:
        """Records taken and not finished."""
        return sum(map(len, self._open.values()))

    def void(self) -> None:
        """Forget everything in flight: it will be read again from the committed offsets."""
        self.version += 1
        self._open.clear()
        self._next.clear()
        self._committed.clear()


class Handler(Protocol):
    """What the loop drives. A `TransientError` from any method: pause, seek back to the committed offsets, retry.

    Any other exception ends the process: the handler itself dead-letters what is terminal.
    """

    async def handle(self, records: Mapping[Place, Sequence[Any]], progress: Progress) -> None:
        """Take aiokafka `ConsumerRecord`s (raw bytes). Called under the loop's lock, one call at a time.

        Either finish them here (`progress.done` for each) or start tasks that call `progress.done` later with the
        `progress.version` of now.
        """
        ...

    def ready(self) -> bool:
        """False = no room: the loop pauses every partition and keeps polling until True."""
        ...

    async def flush(self) -> None:
        """Before a commit, under the lock: everything finished so far is written out."""
        ...

    async def settle(self) -> None:
        """Before a commit, outside the lock: wait until what was flushed is durable."""
        ...

    async def assigned(self, places: Sequence[Place]) -> None:
        """New assignment (all of it)."""
        ...

    async def voided(self) -> None:
        """Everything in flight is void: cancel tasks, drop buffers."""
        ...


@dataclass
class LoopOptions:
    """How one loop reads and commits."""

    bootstrap: str
    group_id: str
    topics: tuple[str, ...]
    poll_records: int = 500
    commit_interval_s: float = 0.25
    commit_records: int = 5000
    session_timeout_s: float = 6.0
    rebalance_timeout_s: float = 30.0
    retry_s: float = 0.5
    client_id: str = "reki"
    extra: dict[str, Any] = field(default_factory=dict)


class ConsumeLoop:
    """`await run()` until `stop()`; see `Handler`. `assignment`, `lag()` and `idle_s()` feed the health page."""

    def __init__(self, options: LoopOptions, handler: Handler) -> None:
        self.options = options
        self.handler = handler
        self.progress = Progress()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Read, handle, commit. Returns after `stop()`, with everything finished flushed and committed."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ask the loop to end after the running batch."""
        self._stopping.set()
