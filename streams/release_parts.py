"""What streaming needs of a ranking release, and nothing of its networks: ids, anchors, and texts to vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.knowledge_rows import Floats


class TextCondenser(Protocol):
    """`encoders.condense.Condenser`: factor texts to what the ranker reads."""

    def users(self, texts: Sequence[Mapping[str, str]]) -> Floats:
        """HEIN summaries f32[n, 32] of users' factor texts."""
        ...

    def items(self, texts: Sequence[Mapping[str, str]]) -> tuple[Floats, Floats]:
        """Vectors f32[n, F, d] and HEIN summaries f32[n, 32] of items' factor texts."""
        ...


@dataclass(frozen=True)
class RefreshRelease:
    """`shape` = (F, d); `anchors` are item ids in the release's order."""

    release_id: str
    anchors: Sequence[str]
    shape: tuple[int, int]
    condenser: TextCondenser
