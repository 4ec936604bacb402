"""SetRank (Pang et al., SIGIR 2020, arXiv 1912.05891): scores that do not depend on the order of the list.

Items plus an embedding of their initial rank (the paper's ordinal embedding), then blocks of induced attention,
IMSAB(X) = MAB(X, I', I') with I' = MAB(I, X, X) and I learned, where MAB is attention and a
row-wise network, each with its input added and normalised; then a row-wise network to one number.
"""

import torch
from torch import Tensor, nn

from ranking.backbones.parts import Dropout
from ranking.rerankers.parts import POSITIONS, AttentionBlock, ListInput, finish
from ranking.shape import RankerShape

_BLOCKS = 2
_HEADS = 2
_INDUCED = 8


class Imsab(nn.Module):
    """Induced attention: [B, L, width] -> [B, L, width] by way of a few learned queries."""

    def __init__(self, width: int, dropout: float, induced: int = _INDUCED) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(induced, width) * width**-0.5)
        self.gather = AttentionBlock(width, _HEADS, dropout)
        self.spread = AttentionBlock(width, _HEADS, dropout)

    def forward(self, state: Tensor, listed: Tensor) -> Tensor:
        """`state` f32[B, L, width], `listed` bool[B, L]."""
        induced = self.gather(self.queries.expand(len(state), -1, -1), state, listed)
        out: Tensor = self.spread(state, induced, None)
        return out


class SetRank(nn.Module):
    """Reads the tensors of `parts.READS`; trained with `losses.attention_rank`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.input = ListInput(shape, fields)
        width = 2 * shape.embedding
        self.project = nn.Linear(self.input.size, width)
        self.ordinal = nn.Embedding(POSITIONS, width)
        nn.init.normal_(self.ordinal.weight, std=0.01)
        self.blocks = nn.ModuleList(Imsab(width, shape.dropout) for _ in range(_BLOCKS))
        self.out = nn.Sequential(nn.Linear(width, width), nn.ReLU(), Dropout(shape.dropout), nn.Linear(width, 1))

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Scores f32[B, L]; `fields` f32[B, L, width of the fields]."""
        items, rank, listed = self.input(batch, fields)
        state = self.project(items) + self.ordinal(rank.clamp(max=POSITIONS - 1))
        for block in self.blocks:
            state = block(state, listed)
        return finish(self.out(state).squeeze(-1), listed)
