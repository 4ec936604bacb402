"""DCN V2 (Wang et al., WWW 2021, arXiv 2008.13535): full-matrix cross layers, parallel to a deep tower.

Equation 1: x_{l+1} = x_0 * (W_l x_l + b_l) + x_l, with * elementwise and W_l of full rank. The last cross layer and
the tower's last layer stand side by side under one linear layer (the paper's parallel structure).
"""

import torch
from torch import Tensor, nn

from ranking.backbones.parts import FieldEmbedding, tower
from ranking.shape import RankerShape

_LAYERS = 2


class CrossLayers(nn.Module):
    """Explicit interactions of bounded order: [M, D] -> [M, D]."""

    def __init__(self, size: int, layers: int = _LAYERS) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(size, size) for _ in range(layers))

    def forward(self, start: Tensor) -> Tensor:
        """`start` f32[M, D] is x_0."""
        crossed = start
        for layer in self.layers:
            crossed = torch.addcmul(crossed, start, layer(crossed))
        return crossed


class DcnV2(nn.Module):
    """Reads the tensors of `parts.READS`; fields as in `parts.FieldEmbedding`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.fields = FieldEmbedding(shape, fields)
        size = self.fields.count * shape.embedding
        self.cross = CrossLayers(size)
        self.deep = tower(size, shape, out=None)
        self.out = nn.Linear(size + shape.hidden[-1], 1)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Logits [B, N]; `fields` f32[B, N, width of the fields]."""
        start = self.fields(batch, fields).flatten(2)
        logits: Tensor = self.out(torch.cat([self.cross(start), self.deep(start)], dim=-1)).squeeze(-1)
        return logits
