"""From a user's state to the question about them: one function for the refresh worker and for bulk runs."""

from collections.abc import Mapping

from knowledge.base import Knowledge, TerminalError, from_micros
from knowledge.requests import HistoryEntry, UserRequest
from streams.state import RingEntry, UserState
from streams.told import ItemTold


def entries_until(state: UserState, source_rev: int) -> list[RingEntry]:
    """The ring's entries of the first `source_rev` events; raises `TerminalError` (`history_gone`) if none is left."""
    entries = [entry for entry in state.ring if entry.rev <= source_rev]
    if not entries:
        raise TerminalError(
            "history_gone",
            f"the ring no longer holds any of the first {source_rev} events; a newer request will follow",
        )
    return entries


def user_request(
    state: UserState,
    source_rev: int,
    told: Mapping[str, ItemTold],
    previous: Knowledge | None = None,
    new_events: int | None = None,
) -> UserRequest:
    """Ask about the first `source_rev` events and nothing later, so that a retry asks the same (window R1).

    `told` names items; without `previous` everything is said anew. Raises `TerminalError` (`history_gone`).
    """
    entries = entries_until(state, source_rev)
    return UserRequest(
        user_id=state.user_id,
        profile=dict(state.profile),
        history=tuple(
            HistoryEntry(
                item_id=entry.item_id,
                title=item.title,
                value=entry.value,
                polarity=entry.polarity,
                occurred_at=from_micros(entry.occurred_at),
                facts=item.facts,
            )
            for entry in entries
            for item in [told.get(entry.item_id) or ItemTold(f"item {entry.item_id}")]
        ),
        source_rev=source_rev,
        source_through=from_micros(max(entry.occurred_at for entry in entries)),
        previous=previous,
        generation=state.generation + 1,
        new_events=new_events,
    )
