"""Whole or incremental: when new knowledge builds on the old, what stays of it, and what has changed.

Incremental extraction shows the LLM what it said before and all events that are still held, new ones marked, and asks
only for the factors that are no longer right. Expectations are given anew every time: they are what moves the ranking.
The published systems regenerate everything; this is ours.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from knowledge.base import Knowledge, KnowledgeMode


@dataclass(frozen=True)
class Plan:
    """`new_events`: how many of the newest history entries the previous knowledge has not seen; None = from scratch.

    `reason` is a short plain phrase for logs.
    """

    new_events: int | None
    reason: str

    @property
    def full(self) -> bool:
        """Whether everything is said anew, without sight of the previous knowledge."""
        return self.new_events is None


def plan(
    previous: Knowledge | None,
    factors: Collection[str] | None,
    *,
    generation: int,
    full_every: int,
    new_events: int,
    shown_events: int,
    drift: float | None = None,
    full_drift: float = 0.0,
) -> Plan:
    """Decide on the generation number `generation` (counted from 1) of one user. Pure.

    From scratch at every `full_every`-th generation, because knowledge built on knowledge keeps what was once believed;
    when the experienced vectors have moved by `full_drift` or more since the previous knowledge (0 = do not look); when
    the previous knowledge has seen none of the `shown_events` still held; when it is of a group (collective); and when
    it has no text for any of `factors` (None = take any).
    """
    known = previous is not None and any(
        text for name, text in previous.factors.items() if factors is None or name in factors
    )
    if not known:
        return Plan(None, "there is no knowledge to build on")
    if previous is not None and previous.mode is KnowledgeMode.COLLECTIVE:
        return Plan(None, "the knowledge in force is of a group, not of this user")
    if generation % full_every == 0:
        return Plan(None, f"generation {generation}: each {full_every}. is made from the events alone")
    if drift is not None and 0 < full_drift <= drift:
        return Plan(None, f"taste moved by {drift:.2f}, {full_drift:.2f} asks for a new start")
    if new_events >= shown_events:
        return Plan(None, "the previous knowledge has seen none of the events still held")
    return Plan(max(0, new_events), f"{new_events} new of {shown_events} events")


def changed_factors(before: Mapping[str, str] | None, after: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the factors whose text is another than before, added and lost ones included; in a stable order."""
    before = before or {}
    names = [*after, *(name for name in before if name not in after)]
    return tuple(name for name in names if before.get(name, "") != after.get(name, ""))


def with_changes(knowledge: Knowledge, previous: Knowledge | None) -> Knowledge:
    """`knowledge` that says what has changed since `previous` (all, where there was none)."""
    before = None if previous is None else previous.factors
    return knowledge.model_copy(update={"changed": changed_factors(before, knowledge.factors)})
