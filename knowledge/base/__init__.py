"""Records, ids, clock and error types that every room shares."""

from knowledge.base.clock import Clock, FixedClock, SystemClock, from_micros, micros, require_aware
from knowledge.base.errors import RekiError, TerminalError, TransientError
from knowledge.base.ids import EntityId, check_id, is_id
from knowledge.base.records import (
    Action,
    BehaviorEvent,
    Expectations,
    ItemProfile,
    Knowledge,
    KnowledgeMode,
    Polarity,
    UserProfile,
)

__all__ = [
    "Action",
    "BehaviorEvent",
    "Clock",
    "EntityId",
    "Expectations",
    "FixedClock",
    "ItemProfile",
    "Knowledge",
    "KnowledgeMode",
    "Polarity",
    "RekiError",
    "SystemClock",
    "TerminalError",
    "TransientError",
    "UserProfile",
    "check_id",
    "from_micros",
    "is_id",
    "micros",
    "require_aware",
]
