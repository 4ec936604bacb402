"""AutoInt+ (Song et al., CIKM 2019, arXiv 1810.11921): self-attention over the fields, beside a deep tower.

Per head the attention of field m to field k is softmax over k of <W_Q e_m, W_K e_k> (not scaled);
the heads' sums of W_V e_k stand side by side, and each field becomes ReLU(that + W_Res e_m). The plus is the paper's
name for the joint training with a feed-forward network.
"""

import torch
from torch import Tensor, nn

from ranking.backbones.parts import FieldEmbedding, tower
from ranking.shape import RankerShape

_LAYERS = 2
_HEADS = 2


class Interacting(nn.Module):
    """One interacting layer: [M, m, e] -> [M, m, e], the heads of e / heads numbers each."""

    def __init__(self, width: int, heads: int = _HEADS) -> None:
        """Raises `ValueError` if `heads` does not divide `width`."""
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide {width} numbers: choose an embedding width that they divide")
        self.heads = heads
        self.project = nn.Linear(width, 4 * width, bias=False)  # W_Q, W_K, W_V, W_Res, in this order

    def forward(self, embedded: Tensor) -> Tensor:
        """`embedded` f32[M, m, e]."""
        rows, count, width = embedded.shape
        query, key, value, residual = self.project(embedded).split(width, dim=-1)
        query, key, value = (
            part.reshape(rows, count, self.heads, -1).transpose(1, 2) for part in (query, key, value)
        )  # [M, heads, m, e / heads]
        weights = torch.softmax(query @ key.transpose(-1, -2), dim=-1)
        attended = (weights @ value).transpose(1, 2).reshape(rows, count, width)
        return torch.relu(attended + residual)


class AutoInt(nn.Module):
    """Reads the tensors of `parts.READS`; fields as in `parts.FieldEmbedding`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.fields = FieldEmbedding(shape, fields)
        size = self.fields.count * shape.embedding
        self.layers = nn.Sequential(*(Interacting(shape.embedding) for _ in range(_LAYERS)))
        self.out = nn.Linear(size, 1)
        self.deep = tower(size, shape)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Logits [B, N]; `fields` f32[B, N, width of the fields]."""
        embedded = self.fields(batch, fields)
        attended = self.layers(embedded.flatten(0, 1)).reshape(*embedded.shape[:2], -1)
        logits: Tensor = (self.out(attended) + self.deep(embedded.flatten(2))).squeeze(-1)
        return logits
