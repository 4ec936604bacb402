"""What is asked of a knowledge source and what comes back: the same records, whoever answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from knowledge.base import ItemProfile, Knowledge, Polarity, TerminalError
from knowledge.meter import Meter


@dataclass(frozen=True)
class HistoryEntry:
    """One event of the user's ring. `title` is untrusted text; `value` is on the scenario's scale.

    `facts` is one line that is already known of the item ("genres Drama; year 1994", see `prompts.facts_line`), also
    untrusted: evidence for the LLM; empty = none is told.
    """

    item_id: str
    title: str
    value: float
    polarity: Polarity
    occurred_at: datetime
    facts: str = ""


@dataclass(frozen=True)
class UserRequest:
    """Ask for knowledge about one user.

    `history` holds the ring entries with rev <= `source_rev`, in the order of arrival, and nothing later: a retry then
    builds the same prompt, and the cache answers (window R1). `previous` is the knowledge in force, None for a full
    regeneration; `generation` counts the user's generations and never enters a prompt.

    `retrieved` are items found for this user (near, far, fresh), in an order that tells nothing: this answer, and no
    other, may name them beside the shortlist. `retrieved_titles` names them (untrusted text) as whoever found them
    does, so that a retry tells the same; others are looked up with the catalogue's titles. `new_events`: how many of
    the last entries of `history` the previous knowledge has not seen; it makes the request `incremental`. None =
    everything is said anew.
    """

    user_id: str
    profile: Mapping[str, str]
    history: tuple[HistoryEntry, ...]
    source_rev: int
    source_through: datetime
    previous: Knowledge | None
    generation: int
    retrieved: tuple[str, ...] = ()
    new_events: int | None = None
    retrieved_titles: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.new_events is not None and self.new_events < 0:
            raise ValueError("new_events counts events: 0 or more, or None")

    @property
    def incremental(self) -> bool:
        """Whether only what has changed since `previous` is asked for."""
        return self.new_events is not None and self.previous is not None and bool(self.previous.factors)


@dataclass(frozen=True)
class Extraction:
    """An answer. `prompt_hash` names it in the answer cache (None: recorded); `called` is whether it cost a call."""

    knowledge: Knowledge
    prompt_hash: str | None
    called: bool


class NoNewerRecord(TerminalError):
    """Control flow, not a fault: no recorded answer has seen more than the knowledge in force."""

    def __init__(self, message: str) -> None:
        super().__init__("no_newer_record", message)


class KnowledgeSource(Protocol):
    """Who answers. Raises `TerminalError` or `TransientError`; on either the previous knowledge stays in force.

    `meter` counts what the LLM did and cost; a source without one has a meter at zero.
    """

    @property
    def meter(self) -> Meter:
        """Calls, tokens and failures per purpose."""
        ...

    async def user(self, request: UserRequest) -> Extraction:
        """Knowledge about one user, with expectations."""
        ...

    async def item(self, profile: ItemProfile) -> Extraction:
        """Knowledge about one item."""
        ...

    async def close(self) -> None:
        """Give back connections; pending calls are over."""
        ...


def effective_history(history: tuple[HistoryEntry, ...]) -> list[HistoryEntry]:
    """One entry per item, its newest by (occurred_at, arrival), oldest first."""
    newest: dict[str, tuple[datetime, int, HistoryEntry]] = {}
    for arrival, entry in enumerate(history):
        kept = newest.get(entry.item_id)
        if kept is None or (entry.occurred_at, arrival) > kept[:2]:
            newest[entry.item_id] = (entry.occurred_at, arrival, entry)
    return [entry for _, _, entry in sorted(newest.values(), key=lambda kept: kept[:2])]
