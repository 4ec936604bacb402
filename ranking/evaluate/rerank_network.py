"""The network that reranks: a reranker, with the matching head's field beside its items."""

import torch
from torch import Tensor, nn

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
                nn.Dropout(shape.dropout),
                nn.Linear(_HIDDEN, _FIELD),
            )
            self.direct = nn.Linear(self.head.width, 1)
        self.reranker = RERANKERS[reranker](shape, 0 if self.head is None else _FIELD)
        _quicken(self)

    def forward(self, batch: dict[str, Tensor], features: Tensor | None) -> Tensor:
        """Scores f32[B, L]; `features` f32[B, L, K] raw."""
        if self.head is None:
            plain: Tensor = self.reranker(batch, None)
            return plain
        matched = self.head(batch, features)
        scores: Tensor = self.reranker(batch, self.field(matched)) + self.direct(matched).squeeze(-1)
        return scores


class QuickDropout(nn.Module):
    """`nn.Dropout` by way of `torch.rand`: on a CPU torch's own took 12 to 29 % of a training step to draw."""

    def __init__(self, share: float) -> None:
        """`share` of the values becomes 0 in training; the rest is scaled up."""
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Tensor:
        """Same shape."""
        if not self.training or not self.share:
            return values
        return values * ((torch.rand_like(values) >= self.share) / (1 - self.share))


def _quicken(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout):
            setattr(module, name, QuickDropout(child.p))
        else:
            _quicken(child)
