"""FiBiNET (Huang et al., RecSys 2019, arXiv 1905.09433): which fields matter, and bilinear products of their pairs.

Squeeze and excitation: z_i = mean of field i, a = ReLU(W_2 ReLU(W_1 z)), v_i = a_i e_i. Bilinear
interaction, the paper's "field-each" type: p_ij = (e_i W_i) * e_j, with * elementwise. Products of the
plain and of the reweighted fields stand side by side under the tower; the first-order terms are added.
"""

import torch
from torch import Tensor, nn

from ranking.backbones.parts import FieldEmbedding, FirstOrder, matrices, tower
from ranking.shape import RankerShape

_REDUCTION = 3


class Senet(nn.Module):
    """Reweights the fields: [M, m, e] -> [M, m, e]."""

    def __init__(self, count: int, reduction: int = _REDUCTION) -> None:
        super().__init__()
        narrow = max(1, count // reduction)
        self.squeeze = nn.Linear(count, narrow, bias=False)
        self.excite = nn.Linear(narrow, count, bias=False)

    def forward(self, embedded: Tensor) -> Tensor:
        """`embedded` f32[M, m, e]."""
        weights = torch.relu(self.excite(torch.relu(self.squeeze(embedded.mean(-1)))))
        return embedded * weights.unsqueeze(-1)


class Bilinear(nn.Module):
    """Products of all pairs i < j of fields, in this order: [M, m, e] -> [M, m (m - 1) / 2, e]."""

    left: Tensor
    right: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = matrices(count - 1, width, width)
        pairs = torch.triu_indices(count, count, 1)
        self.register_buffer("left", pairs[0], persistent=False)
        self.register_buffer("right", pairs[1], persistent=False)

    def forward(self, embedded: Tensor) -> Tensor:
        """`embedded` f32[M, m, e]."""
        turned = torch.einsum("nie,ief->nif", embedded[:, :-1], self.weight)
        return turned[:, self.left] * embedded[:, self.right]


class FiBiNet(nn.Module):
    """Reads the tensors of `parts.READS`; fields as in `parts.FieldEmbedding`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.fields = FieldEmbedding(shape, fields)
        self.first = FirstOrder(shape, fields)
        count = self.fields.count
        self.senet = Senet(count)
        self.plain = Bilinear(count, shape.embedding)
        self.reweighted = Bilinear(count, shape.embedding)
        self.deep = tower(count * (count - 1) * shape.embedding, shape)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Logits [B, N]; `fields` f32[B, N, width of the fields]."""
        embedded = self.fields(batch, fields)
        flat = embedded.flatten(0, 1)
        products = torch.cat([self.plain(flat), self.reweighted(self.senet(flat))], dim=1)
        deep = self.deep(products.reshape(*embedded.shape[:2], -1)).squeeze(-1)
        logits: Tensor = self.first(batch, fields) + deep
        return logits
