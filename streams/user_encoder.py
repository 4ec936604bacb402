"""A user's knowledge to the rows that the ranker reads: HEIN summary of the texts, vectors of the expectations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from encoders.expected import expected
from encoders.history import effective
from feature_repo.reader import FeatureReader
from feature_repo.records import FeatureRow
from knowledge.base import Expectations, Knowledge
from streams.knowledge_rows import Floats, user_rows
from streams.release_parts import TextCondenser
from streams.state import RingEntry


@dataclass(frozen=True)
class Encodable:
    """One user's knowledge and their own values (item id -> value) as of its `source_rev`."""

    knowledge: Knowledge
    own_values: Mapping[str, float]
    generation: int


def own_values(ring: Iterable[RingEntry], source_rev: int) -> dict[str, float]:
    """The newest value per item among the first `source_rev` events, as far as the ring holds them."""
    return {entry.item_id: entry.value for entry in effective(e for e in ring if e.rev <= source_rev)}


def expected_items(expectations: Expectations | None) -> tuple[str, ...]:
    """The items whose vectors the expectations need."""
    return () if expectations is None else (*expectations.likes, *expectations.dislikes)


class UserEncoder:
    """One release's view of users. Not for the event loop: `condenser` runs the sentence encoder."""

    def __init__(
        self,
        condenser: TextCondenser,
        reader: FeatureReader,
        release_id: str,
        anchors: Sequence[str],
        shape: tuple[int, int],
    ) -> None:
        self._condenser = condenser
        self._reader = reader
        self.release_id = release_id
        self._anchors = tuple(anchors)
        self._shape = shape

    def item_vectors(self, item_ids: Iterable[str], slot: str) -> dict[str, Floats]:
        """Vectors f32[F, d] of those items that have one of this release in `slot`; one round trip."""
        ids = list(dict.fromkeys(item_ids))
        rows = self._reader.read("item_vector", ids, ["item_vec", "item_release"], slot) if ids else []
        return {
            item: np.asarray(row["item_vec"], np.float32).reshape(self._shape)
            for item, row in zip(ids, rows, strict=True)
            # Vectors of two releases must never be averaged: they live in different spaces.
            if row is not None and row["item_release"] == self.release_id
        }

    def summaries(self, users: Sequence[Encodable]) -> Floats:
        """HEIN summaries f32[n, 32]; encodes what the cache does not have."""
        return self._condenser.users([user.knowledge.factors for user in users])

    def rows(
        self,
        users: Sequence[Encodable],
        summaries: Floats,
        vectors: Mapping[str, Floats],
        slots: Sequence[str],
        written_at: int,
    ) -> list[tuple[FeatureRow, ...]]:
        """Rows of `user_knowledge` and `user_expected` for each user; `written_at` µs."""
        result = []
        for user, summary in zip(users, summaries, strict=True):
            means, values = expected(user.knowledge.expectations, user.own_values, vectors, self._anchors, self._shape)
            result.append(
                user_rows(
                    user.knowledge,
                    means,
                    values,
                    summary,
                    release=self.release_id,
                    slots=slots,
                    generation=user.generation,
                    written_at=written_at,
                )
            )
        return result
