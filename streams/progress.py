"""Which records are taken, finished and committed: pure bookkeeping behind the consume loop."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


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
        self._finished = 0

    def take(self, place: Place, offsets: Sequence[int]) -> None:
        """Records were handed to the handler."""
        if offsets:
            self._open.setdefault(place, set()).update(offsets)
            self._next[place] = max(offsets) + 1

    def done(self, place: Place, offset: int, version: int | None = None) -> None:
        """A record is finished; ignored if it was taken before the last `void` (pass the version of that time)."""
        if version is None or version == self.version:
            open_offsets = self._open.get(place)
            if open_offsets and offset in open_offsets:
                open_offsets.remove(offset)
                self._finished += 1

    def done_all(self, place: Place, offsets: Iterable[int]) -> None:
        """`done` for a whole batch."""
        open_offsets = self._open.get(place)
        if open_offsets:
            before = len(open_offsets)
            open_offsets.difference_update(offsets)
            self._finished += before - len(open_offsets)

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
        self._finished = 0

    def finished_since_commit(self) -> int:
        """Records finished since the last commit."""
        return self._finished

    def position(self, place: Place) -> int | None:
        """The next offset that will be taken; None = nothing was taken yet."""
        return self._next.get(place)

    def pending(self) -> int:
        """Records taken and not finished."""
        return sum(map(len, self._open.values()))

    def void(self) -> None:
        """Forget everything in flight: it will be read again from the committed offsets."""
        self.version += 1
        self._open.clear()
        self._next.clear()
        self._committed.clear()
        self._finished = 0
