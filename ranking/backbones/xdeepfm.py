"""xDeepFM (Lian et al., KDD 2018, arXiv 1803.05170): compressed interaction network, linear part and deep tower.

X^k_h = sum over i, j of W^{k,h}_ij (X^{k-1}_i * X^0_j), with * elementwise over the e numbers of a field;
every layer is summed over e, and all sums together get one linear layer. The activation is the
identity, which the paper found best, and every map goes both on and out (no halving).
"""

import torch
from torch import Tensor, nn

from ranking.backbones.parts import FieldEmbedding, FirstOrder, tower
from ranking.shape import RankerShape

_MAPS = (12, 12)


class Cin(nn.Module):
    """Compressed interaction network: [M, m, e] -> [M, sum of maps]."""

    def __init__(self, count: int, maps: tuple[int, ...] = _MAPS) -> None:
        super().__init__()
        before = (count, *maps[:-1])
        self.layers = nn.ModuleList(
            nn.Linear(size * count, out, bias=False) for size, out in zip(before, maps, strict=True)
        )

    def forward(self, embedded: Tensor) -> Tensor:
        """`embedded` f32[M, m, e] is X^0; column i * m + j of a layer's weight is W_ij."""
        # Fields first and [M * e] last: each layer is one matrix product, twice as fast as with the fields last.
        start = embedded.transpose(0, 1).flatten(1)  # [m, M * e]
        maps, sums = start, []
        for weight in self.layers.parameters():  # one a layer, in order
            maps = weight @ (maps.unsqueeze(1) * start).flatten(0, 1)  # [H, M * e]
            sums.append(maps.reshape(len(maps), -1, embedded.shape[2]).sum(-1))
        return torch.cat(sums).transpose(0, 1)


class XDeepFm(nn.Module):
    """Reads the tensors of `parts.READS`; fields as in `parts.FieldEmbedding`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.fields = FieldEmbedding(shape, fields)
        self.first = FirstOrder(shape, fields)
        self.cin = Cin(self.fields.count)
        self.out = nn.Linear(sum(_MAPS), 1, bias=False)
        self.deep = tower(self.fields.count * shape.embedding, shape)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Logits [B, N]; `fields` f32[B, N, width of the fields]."""
        embedded = self.fields(batch, fields)
        compressed = self.cin(embedded.flatten(0, 1)).reshape(*embedded.shape[:2], -1)
        logits: Tensor = self.first(batch, fields) + (self.out(compressed) + self.deep(embedded.flatten(2))).squeeze(-1)
        return logits
