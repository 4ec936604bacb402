"""The seven views as plain data: names, features, types and widths. Imports neither Feast nor torch.

Vector views have two slots, `blue` and `green`; one is in use until a roll-out. Feature names are unique across
all physical views (Feast refuses two views with one feature name in a single call), so slot features carry their slot.
"""

from dataclasses import dataclass
from enum import StrEnum

FACTORS = 9  # F: factors of the films scenario
DIM = 16  # d: width of a projected factor vector
SUMMARY = 32  # width of HEIN's summary of one side
ANCHORS = 40  # A: items whose value the LLM is asked to guess
HISTORY = 50  # H: newest items served to the ranker
RING = 100  # N: newest events kept in a user's state
STORED_STATS = 4  # S - 1: statistics that the stream worker stores; the reader appends log1p(events since knowledge)

SLOTS = ("blue", "green")
JOIN_KEYS = {"user": "user_id", "item": "item_id"}


class Kind(StrEnum):
    """A feature's type; `Feast` names in brackets."""

    STRING = "string"  # String
    INT = "int"  # Int64
    STRINGS = "strings"  # Array(String)
    FLOATS = "floats"  # Array(Float32)


@dataclass(frozen=True)
class Feature:
    """One feature. `width` is the exact length of a vector; None = any length up to the writer's cap."""

    name: str
    kind: Kind
    width: int | None = None
    about: str = ""


@dataclass(frozen=True)
class View:
    """One view. `slotted` views exist twice, as `<name>_blue` and `<name>_green`."""

    name: str
    entity: str  # "user" or "item"
    features: tuple[Feature, ...]
    writer: str  # the one role that writes it
    slotted: bool = False
    personal: bool = False  # inferred personal data: its own permission, never in service `ranking`

    def physical(self, slot: str | None = None) -> str:
        """The Feast name of this view (for a slotted view: in `slot`)."""
        if not self.slotted:
            return self.name
        if slot not in SLOTS:
            raise ValueError(f"view {self.name} has the slots {SLOTS}, not {slot!r}")
        return f"{self.name}_{slot}"

    def feature(self, name: str, slot: str | None = None) -> str:
        """The physical name of feature `name` (slot features end with their slot)."""
        return f"{name}_{slot}" if self.slotted else name


USER_HISTORY = View(
    "user_history",
    "user",
    (
        Feature("history_item_ids", Kind.STRINGS, about="newest first, one entry per item, at most H"),
        Feature("history_values", Kind.FLOATS, about="the scenario's number for each, same order"),
        Feature("history_rev", Kind.INT, about="events ever applied for this user"),
        Feature("history_through", Kind.INT, about="occurred_at of the newest event, µs since 1970 UTC"),
        Feature("history_written_at", Kind.INT, about="wall clock of the write, µs"),
    ),
    writer="stream",
)
USER_EXPERIENCED = View(
    "user_experienced",
    "user",
    (
        Feature("experienced_vec", Kind.FLOATS, 2 * FACTORS * DIM, "[2, F, d]: sums over liked, over disliked items"),
        Feature("experienced_stats", Kind.FLOATS, STORED_STATS, "encoders.statistics.STATISTICS, in that order"),
        Feature("experienced_rev", Kind.INT, about="events seen"),
        Feature("experienced_release", Kind.STRING, about="release whose item vectors were summed"),
        Feature("experienced_written_at", Kind.INT, about="wall clock of the write, µs"),
    ),
    writer="stream",
    slotted=True,
)
USER_KNOWLEDGE = View(
    "user_knowledge",
    "user",
    (
        Feature("knowledge_factors", Kind.STRING, about="JSON object factor -> text"),
        Feature("knowledge_expectations", Kind.STRING, about="JSON {likes, dislikes, anchors}"),
        Feature("knowledge_mode", Kind.STRING),
        Feature("knowledge_model", Kind.STRING),
        Feature("knowledge_template_version", Kind.STRING),
        Feature("knowledge_catalogue_version", Kind.STRING),
        Feature("knowledge_rev", Kind.INT, about="source_rev: events seen by the writer"),
        Feature("knowledge_through", Kind.INT, about="source_through, µs"),
        Feature("knowledge_written_at", Kind.INT, about="wall clock of the write, µs"),
    ),
    writer="refresh",
    personal=True,
)
USER_EXPECTED = View(
    "user_expected",
    "user",
    (
        Feature("expected_vec", Kind.FLOATS, 2 * FACTORS * DIM, "[2, F, d]: means over expected likes, dislikes"),
        Feature("expected_anchors", Kind.FLOATS, ANCHORS, "value per anchor; own value where touched; 0 = unknown"),
        Feature("expected_summary", Kind.FLOATS, SUMMARY, "HEIN summary of the user's factor texts"),
        Feature("expected_rev", Kind.INT, about="source_rev: events seen by the writer"),
        Feature("expected_release", Kind.STRING),
        Feature("expected_source", Kind.STRING, about="model|template_version|catalogue_version of the knowledge"),
        Feature("expected_written_at", Kind.INT, about="wall clock of the write, µs"),
    ),
    writer="refresh",
    slotted=True,
)
ITEM_PROFILE = View(
    "item_profile",
    "item",
    (
        Feature("item_title", Kind.STRING, about="untrusted text"),
        Feature("item_fields", Kind.STRING, about="JSON object"),
        Feature("item_profile_written_at", Kind.INT),
    ),
    writer="catalogue",
)
ITEM_KNOWLEDGE = View(
    "item_knowledge",
    "item",
    (
        Feature("item_factors", Kind.STRING, about="JSON object factor -> text"),
        Feature("item_knowledge_mode", Kind.STRING),
        Feature("item_knowledge_model", Kind.STRING),
        Feature("item_knowledge_template_version", Kind.STRING),
        Feature("item_knowledge_written_at", Kind.INT),
    ),
    writer="refresh",
)
ITEM_VECTOR = View(
    "item_vector",
    "item",
    (
        Feature("item_vec", Kind.FLOATS, FACTORS * DIM, "[F, d]: projected factor vectors, a missing factor is zeros"),
        Feature("item_summary", Kind.FLOATS, SUMMARY, "HEIN summary of the item's factor texts"),
        Feature("item_release", Kind.STRING),
    ),
    writer="refresh",
    slotted=True,
)

VIEWS = (
    USER_HISTORY,
    USER_EXPERIENCED,
    USER_KNOWLEDGE,
    USER_EXPECTED,
    ITEM_PROFILE,
    ITEM_KNOWLEDGE,
    ITEM_VECTOR,
)


def physical_views() -> dict[str, tuple[View, str | None]]:
    """Every Feast view name -> (view, slot)."""
    return {view.physical(slot): (view, slot) for view in VIEWS for slot in (SLOTS if view.slotted else (None,))}
