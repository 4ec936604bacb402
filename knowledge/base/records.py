"""The records that walk through the house. All frozen; all times timezone-aware UTC."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, Strict

from knowledge.base.clock import require_aware
from knowledge.base.ids import EntityId

SCHEMA_VERSION = 1
# What every store, file format and JSON reader holds exactly.
MOST = 2**53 - 1

# Strict: "5" and true are no numbers.
Number = Annotated[FiniteFloat, Strict()]
Weight = Annotated[FiniteFloat, Field(gt=0)]
UtcDatetime = Annotated[AwareDatetime, AfterValidator(require_aware)]


class Action(StrEnum):
    """What a user did with an item."""

    VIEW = "view"
    CLICK = "click"
    RATE = "rate"
    PURCHASE = "purchase"
    SKIP = "skip"


class Polarity(StrEnum):
    """How a scenario reads an action and its value (films: rated above 3 is liked, else disliked)."""

    LIKED = "liked"
    NEUTRAL = "neutral"
    DISLIKED = "disliked"


class KnowledgeMode(StrEnum):
    """How knowledge came to be."""

    INDIVIDUAL = "individual"
    COLLECTIVE = "collective"
    RECORDED = "recorded"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BehaviorEvent(_Record):
    """One thing that a user did, as it stands on topic `behavior` (JSON, key = `user_id`)."""

    event_id: EntityId
    user_id: EntityId
    item_id: EntityId
    action: Action
    value: Number | None = Field(default=None, description="Stars for `rate`; else usually absent.")
    occurred_at: UtcDatetime
    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION, strict=True)


class UserProfile(_Record):
    """What is known about a user beside behaviour; only the scenario's listed fields ever reach a prompt."""

    user_id: EntityId
    fields: dict[str, str] = Field(default_factory=dict)


class ItemProfile(_Record):
    """What is known about an item. `title` is untrusted text."""

    item_id: EntityId
    title: str
    fields: dict[str, str] = Field(default_factory=dict)


class Expectations(_Record):
    """What the LLM expects of a user: catalogue items, none of which the user has touched.

    `anchors` maps an anchor item's id to the expected value on the scenario's scale (films: 1 to 5 stars);
    an anchor that the user has touched is absent (the user's own value counts instead). `weights` says how much a
    like or dislike counts, above 0; what is not in it counts 1 (collective: the clusters' share).
    """

    likes: tuple[EntityId, ...] = ()
    dislikes: tuple[EntityId, ...] = ()
    anchors: dict[EntityId, FiniteFloat] = Field(default_factory=dict)
    # Left out where empty: every user's row would carry it.
    weights: dict[EntityId, Weight] = Field(default_factory=dict, exclude_if=lambda w: not w)


class Knowledge(_Record):
    """What an LLM said about one entity, and where that came from."""

    entity: str = Field(pattern="^(user|item)$")
    entity_id: EntityId
    factors: dict[str, str]
    expectations: Expectations | None = Field(default=None, description="Users only.")
    mode: KnowledgeMode
    model: str
    template_version: str
    catalogue_version: str
    source_rev: int = Field(ge=0, le=MOST, description="How many of the user's events it has seen; 0 for items.")
    source_through: UtcDatetime | None = Field(default=None, description="Time of the newest of them.")
    generated_at: UtcDatetime
    changed: tuple[str, ...] = Field(
        default=(), description="Factors with another text than in the knowledge before; empty where nothing is known."
    )
    tokens_in: int = Field(default=0, ge=0, le=MOST)
    tokens_cached: int = Field(
        default=0, ge=0, le=MOST, description="Prompt tokens that the server took from its cache."
    )
    tokens_out: int = Field(default=0, ge=0, le=MOST)


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time with an offset; raises `TerminalError` for a naive one."""
    return require_aware(datetime.fromisoformat(text))
