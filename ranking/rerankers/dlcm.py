"""DLCM (Ai et al., SIGIR 2018, arXiv 1804.05936): a recurrent network reads the list from its worst item to its best.

1. Items: two ELU layers over x, and x itself beside them.
2. A GRU over the list, worst first; its last state s is the local context, its output at item i is o_i.
3. Score: V . (o_i tanh(W s + b)), with W s + b as a matrix of a x k and V of k numbers.
"""

import torch
from torch import Tensor, nn

from ranking.backbones.parts import Dropout
from ranking.rerankers.parts import ListInput, finish
from ranking.shape import RankerShape

_DEPTH = 8


class Dlcm(nn.Module):
    """Reads the tensors of `parts.READS`; trained with `losses.attention_rank`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.input = ListInput(shape, fields)
        width, state = 2 * shape.embedding, 2 * shape.embedding
        self.widen = nn.Sequential(
            nn.Linear(self.input.size, width), nn.ELU(), Dropout(shape.dropout), nn.Linear(width, width), nn.ELU()
        )
        self.gru = nn.GRU(width + self.input.size, state, batch_first=True)
        self.context = nn.Linear(state, state * _DEPTH)
        self.out = nn.Linear(_DEPTH, 1, bias=False)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Scores f32[B, L]; `fields` f32[B, L, width of the fields]."""
        items, rank, listed = self.input(batch, fields)
        items = torch.cat([self.widen(items), items], dim=-1)
        # Worst first, and fill behind the best, where it comes too late to move the context.
        count = listed.sum(1, keepdim=True)
        place = torch.where(listed, count - 1 - rank, rank)
        order = torch.argsort(place, dim=1)
        outputs, _ = self.gru(items.gather(1, order.unsqueeze(-1).expand_as(items)))
        last = (count - 1).clamp(min=0).unsqueeze(-1).expand(-1, -1, outputs.shape[-1])
        context = torch.tanh(self.context(outputs.gather(1, last).squeeze(1)))
        mixed = torch.bmm(outputs, context.reshape(len(outputs), outputs.shape[-1], _DEPTH))
        scores = self.out(mixed).squeeze(-1).gather(1, place)
        return finish(scores, listed)
