"""What the rerankers share: what they know of a list's items, attention blocks, and the losses of their papers.

B lists of L items, one user each. Vocabulary index 0 fills a short list up; such places get the score `FAR`. torch and
the standard library only.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ranking.backbones.parts import READS as BACKBONE_READS
from ranking.backbones.parts import Dropout, FieldEmbedding
from ranking.shape import RankerShape

# Every reranker reads these tensors of the batch, and nothing else beside `fields`.
READS = (*BACKBONE_READS, "base_score")
FAR = -1e4  # softmax weight 0, and finite where everything is hidden
POSITIONS = 64  # ranks from here on share the last position's embedding


class ListInput(nn.Module):
    """Items of a list: the fields of `backbones.parts.FieldEmbedding` side by side, and the initial score.

    The initial order is read from `base_score` (ties by place), not from the order in which the list is handed over.
    """

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.fields = FieldEmbedding(shape, fields)
        self.size = self.fields.count * shape.embedding + 1

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Items f32[B, L, size], ranks i64[B, L] (0 = best; fill comes last), and what is no fill, bool[B, L].

        `batch["base_score"]` f32[B, L], on any scale: it is standardised within its list.
        """
        listed = batch["item_index"] > 0
        base = batch["base_score"].float()
        order = torch.argsort(base.masked_fill(~listed, float("-inf")), dim=1, descending=True, stable=True)
        count = listed.sum(1, keepdim=True).clamp(min=1)
        centred = (base - (base * listed).sum(1, keepdim=True) / count) * listed
        spread = (centred.square().sum(1, keepdim=True) / count).sqrt()
        embedded = self.fields(batch, fields).flatten(2)
        score = (centred / spread.clamp(min=1e-6)).unsqueeze(-1)
        return torch.cat([embedded, score], dim=-1), torch.argsort(order, dim=1), listed


class MultiHead(nn.Module):
    """Scaled dot-product attention in several heads (Vaswani et al., 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        """Raises `ValueError` if `heads` does not divide `width`."""
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide {width} numbers: choose an embedding width that they divide")
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, asking: Tensor, asked: Tensor, shown: Tensor | None) -> Tensor:
        """f32[B, n, width] from `asking` f32[B, n, width], `asked` f32[B, k, width], `shown` bool[B, k]."""
        query, key, value = (
            self._split(self.query(asking)),
            self._split(self.key(asked)),
            self._split(self.value(asked)),
        )
        mask = None if shown is None else (~shown)[:, None, None, :] * FAR
        attended = fn.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        mixed: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return mixed

    def _split(self, tensor: Tensor) -> Tensor:
        return tensor.reshape(*tensor.shape[:2], self.heads, -1).transpose(1, 2)


class AttentionBlock(nn.Module):
    """Attention, then a row-wise network of two layers; each with its input added and normalised after it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiHead(width, heads)
        self.norm = nn.LayerNorm(width)
        self.rows = nn.Sequential(nn.Linear(width, width), nn.ReLU(), Dropout(dropout), nn.Linear(width, width))
        self.rows_norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, asking: Tensor, asked: Tensor, shown: Tensor | None) -> Tensor:
        """f32[B, n, width]; arguments as for `MultiHead`."""
        mixed = self.norm(asking + self.dropout(self.attention(asking, asked, shown)))
        out: Tensor = self.rows_norm(mixed + self.dropout(self.rows(mixed)))
        return out


def finish(scores: Tensor, listed: Tensor) -> Tensor:
    """Scores [B, L], fill at `FAR`."""
    return scores.masked_fill(~listed, FAR)
