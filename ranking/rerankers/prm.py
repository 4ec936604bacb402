"""PRM (Pei et al., RecSys 2019, arXiv 1904.06813): a Transformer encoder over the list, personalised.

Input: [x_i, pv_i] + pe_i, then a linear layer; pe is learned per initial rank. Encoder blocks of
attention and row-wise network, then a linear layer; its softmax over the list is the click probability,
and belongs to the loss here. The paper's personalised vector pv_i is the last hidden layer of a click model trained
before; ours is what we hold of the user and this item: pooled history, the head's field and the summaries.
"""

from torch import Tensor, nn

from ranking.rerankers.parts import POSITIONS, AttentionBlock, ListInput, finish
from ranking.shape import RankerShape

_BLOCKS = 2
_HEADS = 2


class Prm(nn.Module):
    """Reads the tensors of `parts.READS`; trained with `losses.listwise`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.input = ListInput(shape, fields)
        width = 2 * shape.embedding
        self.position = nn.Embedding(POSITIONS, self.input.size)
        nn.init.normal_(self.position.weight, std=0.01)
        self.project = nn.Linear(self.input.size, width)
        self.blocks = nn.ModuleList(AttentionBlock(width, _HEADS, shape.dropout) for _ in range(_BLOCKS))
        self.out = nn.Linear(width, 1)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Scores f32[B, L]; `fields` f32[B, L, width of the fields]."""
        items, rank, listed = self.input(batch, fields)
        state = self.project(items + self.position(rank.clamp(max=POSITIONS - 1)))
        for block in self.blocks:
            state = block(state, state, listed)
        return finish(self.out(state).squeeze(-1), listed)
