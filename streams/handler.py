"""What a consume loop drives, and how it is set up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from streams.progress import Place, Progress


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

    async def settle(self, offsets: Mapping[Place, int]) -> None:
        """Before `offsets` are committed, outside the lock: wait until what was flushed is durable."""
        ...

    async def assigned(self, places: Sequence[Place]) -> None:
        """New assignment (all of it)."""
        ...

    async def voided(self) -> None:
        """Everything in flight is void: cancel tasks, drop buffers."""
        ...


@dataclass(frozen=True)
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
