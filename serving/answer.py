"""What `recommend` answers, and why it did not."""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import numpy.typing as npt


class UserFallback(IntFlag):
    """What was missing about the user; the ranker then uses what is left."""

    UNKNOWN = 1
    """No row in the store."""
    NO_HISTORY = 2
    NO_EXPERIENCED = 4
    """No experienced vectors."""
    NO_EXPECTATIONS = 8
    SOURCE_NOT_ACCEPTED = 16
    """There is knowledge, but of a source that the release was not trained for: not used."""
    OTHER_RELEASE = 32
    """There are vectors, but of another release: not used."""
    NO_SUMMARY = 64
    """No knowledge summary."""


class ItemFallback(IntFlag):
    """What was missing about a candidate."""

    NO_VECTOR = 1
    """Unknown to the store, or without a usable vector."""
    NOT_IN_VOCABULARY = 2
    """The release was trained before this item: it is scored by its knowledge alone."""
    OTHER_RELEASE = 4
    """The vector is of another release: not used."""


@dataclass(frozen=True)
class Recommendation:
    """The answer to one request of N candidates. Arrays are read-only.

    `scores` f32[N], probabilities in the order of the request; `order` i32[min(N, top_k)], positions from best to
    worst, equal scores in the order of the request; `item_fallback` u8[N] of `ItemFallback` bits. Ages in seconds
    since the row was written, NaN where there is none; `events_since_knowledge` counts the user's events that the
    knowledge behind this answer has not seen. `knowledge_version` is "model|template_version|catalogue_version",
    empty where there is no knowledge; `explanation` is JSON, empty unless asked for.
    """

    item_ids: tuple[str, ...]
    scores: npt.NDArray[np.float32]
    order: npt.NDArray[np.int32]
    item_fallback: npt.NDArray[np.uint8]
    user_fallback: UserFallback
    history_age_s: float
    knowledge_age_s: float
    events_since_knowledge: int
    release: str
    knowledge_version: str
    explanation: str = ""

    @property
    def top(self) -> tuple[str, ...]:
        """Item ids from best to worst, as many as `order` has."""
        return tuple(self.item_ids[place] for place in self.order)
