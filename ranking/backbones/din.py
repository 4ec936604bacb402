"""Deep Interest Network (Zhou et al., KDD 2018, arXiv 1706.06978): attention of the candidate over the history.

The attention unit is an MLP over [h, c, h - c, h * c]. Its first layer is linear in h, c and h * c, so it is computed
as W_h h + W_c c + W_p (h * c), which is the same function and needs no [B, N, H, 4e] tensor. Weights are normalised
(softmax) over the history.
"""

import torch
from torch import Tensor, nn

from ranking.backbones.parts import item_embedding, recent, tower
from ranking.shape import RankerShape

_FAR = -1e4
_ATTENTION = 36


class Din(nn.Module):
    """Reads `item_index` [B, N], `hist_index`, `hist_value` [B, H], `user_mask` [B, 4]."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids (head and summaries); 0 = nothing."""
        super().__init__()
        self._shape = shape
        width = shape.embedding
        self.items = item_embedding(shape)
        self.value = nn.Linear(1, width)
        self.by_history = nn.Linear(width, _ATTENTION, bias=False)
        self.by_candidate = nn.Linear(width, _ATTENTION)
        self.by_product = nn.Linear(width, _ATTENTION, bias=False)
        self.weight = nn.Linear(_ATTENTION, 1)
        self.mlp = tower(2 * width + fields, shape)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Logits [B, N]; `fields` f32[B, N, width of the fields]."""
        candidate = self.items(batch["item_index"].long())
        # Without entries the softmax falls on padding, whose values mean nothing.
        shown = (batch["user_mask"][:, 0] > 0) & (batch["hist_index"][:, : self._shape.backbone_history] > 0).any(1)
        interest = self._interest(batch, candidate) * shown[:, None, None]
        parts = [candidate, interest] if fields is None else [candidate, interest, fields]
        logits: Tensor = self.mlp(torch.cat(parts, dim=-1)).squeeze(-1)
        return logits

    def _interest(self, batch: dict[str, Tensor], candidate: Tensor) -> Tensor:
        """History pooled for each candidate: [B, N, e]."""
        index, value = recent(batch, self._shape)
        history = self.items(index) + self.value(value.unsqueeze(-1))  # [B, h, e]
        users, count, width = candidate.shape
        # Per candidate W_h + W_p diag(c), applied to all history entries at once.
        mixed = self.by_history.weight + self.by_product.weight * candidate.unsqueeze(2)  # [B, N, k, e]
        unit = torch.bmm(history, mixed.reshape(users, count * _ATTENTION, width).transpose(1, 2))
        unit = unit.reshape(users, index.shape[1], count, _ATTENTION) + self.by_candidate(candidate).unsqueeze(1)
        scores = self.weight(torch.relu(unit)).squeeze(-1).transpose(1, 2)  # [B, N, h]
        weights = torch.softmax(scores.masked_fill((index == 0).unsqueeze(1), _FAR), dim=-1)
        return torch.bmm(weights, history)
