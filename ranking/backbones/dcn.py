"""Deep & Cross Network (Wang et al., ADKDD 2017, arXiv 1708.05123): rank-one cross layers beside a deep tower.

Equation 3: x_{l+1} = x_0 (x_l^T w_l) + b_l + x_l, with one weight vector and one bias vector a layer.
"""

import torch
from torch import Tensor, nn

from ranking.backbones.parts import FieldEmbedding, tower
from ranking.shape import RankerShape

_LAYERS = 3


class VectorCrossLayers(nn.Module):
    """Explicit interactions of bounded order with D weights and D biases a layer: [M, D] -> [M, D]."""

    def __init__(self, size: int, layers: int = _LAYERS) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(layers, size) * size**-0.5)
        self.bias = nn.Parameter(torch.zeros(layers, size))

    def forward(self, start: Tensor) -> Tensor:
        """`start` f32[..., D] is x_0."""
        crossed = start
        for weight, bias in zip(self.weight, self.bias, strict=True):
            crossed = start * (crossed @ weight).unsqueeze(-1) + bias + crossed
        return crossed


class Dcn(nn.Module):
    """Reads the tensors of `parts.READS`; fields as in `parts.FieldEmbedding`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.fields = FieldEmbedding(shape, fields)
        size = self.fields.count * shape.embedding
        self.cross = VectorCrossLayers(size)
        self.deep = tower(size, shape, out=None)
        self.out = nn.Linear(size + shape.hidden[-1], 1)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Logits [B, N]; `fields` f32[B, N, width of the fields]."""
        start = self.fields(batch, fields).flatten(2)
        logits: Tensor = self.out(torch.cat([self.cross(start), self.deep(start)], dim=-1)).squeeze(-1)
        return logits
