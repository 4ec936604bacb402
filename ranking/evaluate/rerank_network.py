"""The network that reranks: a reranker, with the matching head's field beside its items."""

from torch import Tensor, nn

from ranking.backbones.parts import Dropout
from ranking.head import MatchingHead
from ranking.rerankers import RERANKERS
from ranking.shape import RankerShape

_FIELD, _HIDDEN = 32, 64


class ListRanker(nn.Module):
    """A reranker, and the matching head as a field of each item and directly in its score."""

    def __init__(self, reranker: str, shape: RankerShape) -> None:
        super().__init__()
        self.head = MatchingHead(shape) if shape.groups else None
        if self.head is not None:
            self.field = nn.Sequential(
                nn.Linear(self.head.width, _HIDDEN),
                nn.ReLU(),
                Dropout(shape.dropout),
                nn.Linear(_HIDDEN, _FIELD),
            )
            self.direct = nn.Linear(self.head.width, 1)
        self.reranker = RERANKERS[reranker](shape, 0 if self.head is None else _FIELD)

    def forward(self, batch: dict[str, Tensor], features: Tensor | None) -> Tensor:
        """Scores f32[B, L]; `features` f32[B, L, K] raw."""
        if self.head is None:
            plain: Tensor = self.reranker(batch, None)
            return plain
        matched = self.head(batch, features)
        scores: Tensor = self.reranker(batch, self.field(matched)) + self.direct(matched).squeeze(-1)
        return scores
