"""DeepFM (Guo et al., IJCAI 2017, arXiv 1703.04247): a factorisation machine and a deep tower on the same fields.

Logit = first-order terms + sum over pairs of fields of <v_i, v_j> + tower([v_1 ... v_m]). The pairs
are summed in linear time, as half of the square of the sum less the sum of the squares (Rendle 2010).
"""

from torch import Tensor, nn

from ranking.backbones.parts import FieldEmbedding, FirstOrder, tower
from ranking.shape import RankerShape


def pairs(embedded: Tensor) -> Tensor:
    """Sum of <v_i, v_j> over i < j: [..., m, e] -> [...]."""
    return 0.5 * (embedded.sum(-2).square() - embedded.square().sum(-2)).sum(-1)


class DeepFm(nn.Module):
    """Reads the tensors of `parts.READS`; fields as in `parts.FieldEmbedding`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.fields = FieldEmbedding(shape, fields)
        self.first = FirstOrder(shape, fields)
        self.deep = tower(self.fields.count * shape.embedding, shape)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Logits [B, N]; `fields` f32[B, N, width of the fields]."""
        embedded = self.fields(batch, fields)
        logits: Tensor = self.first(batch, fields) + pairs(embedded) + self.deep(embedded.flatten(2)).squeeze(-1)
        return logits
