"""From a ring of events to the history that a model reads: one entry per item, newest first."""

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar


class Entry(Protocol):
    """What the ring keeps of an event, as far as the model is concerned."""

    @property
    def item_id(self) -> str:
        """The item."""
        ...

    @property
    def value(self) -> float:
        """The scenario's number (films: stars)."""
        ...

    @property
    def polarity(self) -> str:
        """`liked`, `neutral` or `disliked`."""
        ...

    @property
    def occurred_at(self) -> Any:  # noqa: ANN401 - microseconds or an aware time: anything ordered, one kind per call
        """When it happened."""
        ...

    @property
    def offset(self) -> int:
        """Broker offset; -1 for a loaded history."""
        ...

    @property
    def rev(self) -> int:
        """The how-manieth event of this user it is, from 1."""
        ...


EntryT = TypeVar("EntryT", bound=Entry)


def effective(entries: Iterable[EntryT]) -> list[EntryT]:
    """The entries that count: per item the newest by (occurred_at, offset, rev); sorted newest first by the same.

    Arrival order does not matter, so a late event cannot displace a newer opinion on the same item.
    """
    newest: dict[str, EntryT] = {}
    # Ascending, so that the last one written per item is its newest.
    for entry in sorted(entries, key=_order):
        newest.pop(entry.item_id, None)  # keeps the dict in the order of the newest entries
        newest[entry.item_id] = entry
    return list(newest.values())[::-1]


def _order(entry: Entry) -> tuple[Any, int, int]:
    return (entry.occurred_at, entry.offset, entry.rev)
