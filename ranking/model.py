"""The ranker: a CTR backbone, the matching head, and HEIN's summaries of both sides as fields.

`forward` takes exactly the tensors of the design, "Serving". torch and the standard library only: it runs in the
Triton environment.
"""

import torch
from torch import Tensor, nn

from ranking.backbones import BACKBONES
from ranking.backbones.parts import Dropout
from ranking.head import SUMMARY, MatchingHead
from ranking.shape import RankerShape

_FIELD = 32  # width of the head's field, as an embedding's
_HEAD_DROPOUT = 0.1
_SUMMARY_DROPOUT = 0.8
_PARTS = 6  # that may be missing: those of user_mask, the item's vector, its id


class Ranker(nn.Module):
    """B users x N candidates to logits. With `shape.knowledge` false: the backbone on ids and history alone."""

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        self.shape = shape
        self.head: MatchingHead | None = None
        self.summaries = shape.knowledge and shape.summaries
        fields = 2 * shape.summary if self.summaries else 0
        if shape.knowledge and shape.groups:
            self.head = MatchingHead(shape)
            fields += _FIELD
            self.field = nn.Sequential(
                nn.Linear(self.head.width, shape.head_hidden),
                nn.ReLU(),
                Dropout(_HEAD_DROPOUT),
                nn.Linear(shape.head_hidden, _FIELD),
            )
            self.direct = nn.Linear(self.head.width, 1)
            if shape.head_reweighs:
                self.missing = nn.Linear(_PARTS, self.head.width, bias=False)
                nn.init.zeros_(self.missing.weight)
        if self.summaries:
            # A user's summary names the user: without much dropout the network learns users by heart.
            self.summary_dropout = Dropout(_SUMMARY_DROPOUT)
        self.backbone = BACKBONES[shape.backbone](shape, fields)

    def forward(self, batch: dict[str, Tensor], features: Tensor | None = None) -> Tensor:
        """Logits f32[B, N].

        `batch`: user_stats f32[B, 5], user_experienced and user_expected f32[B, 2, F, d], user_anchors f32[B, A],
        user_summary f32[B, 32], user_mask u8[B, 4], hist_index i32[B, H], hist_value f32[B, H], hist_vec
        f32[B, H, F, d], item_index i32[B, N], item_vec f32[B, N, F, d], item_summary f32[B, N, 32],
        item_mask u8[B, N]. `features` f32[B, N, K] are the head's raw features where the caller has them already
        (training computes them once); the vectors are then not read.
        """
        parts = []
        matched = None if self.head is None else self.head(batch, features)
        if matched is not None:
            parts.append(self.field(matched))
        if self.summaries:
            user = batch["user_summary"].float() * batch["user_mask"][:, SUMMARY, None]
            item = batch["item_summary"].float() * batch["item_mask"].unsqueeze(-1)
            parts.append(self.summary_dropout(user).unsqueeze(1).expand(-1, item.shape[1], -1))
            parts.append(self.summary_dropout(item))
        logits: Tensor = self.backbone(batch, torch.cat(parts, dim=-1) if parts else None)
        return logits if matched is None else logits + self._direct(batch, matched)

    def _direct(self, batch: dict[str, Tensor], matched: Tensor) -> Tensor:
        """Weighted sum [B, N] of the head's columns; each part that is missing has weights of its own to add.

        Without expectations own values must carry what both did: a bias for what is missing cannot say that.
        """
        direct: Tensor = self.direct(matched).squeeze(-1)
        if not self.shape.head_reweighs:
            return direct
        known = (batch["item_index"] > 1).to(matched.dtype).unsqueeze(-1)
        missing = 1 - torch.cat([matched[..., 1 - _PARTS :], known], dim=-1)  # the head's last columns are masks
        reweighed: Tensor = (self.missing(missing) * matched).sum(-1)
        return direct + reweighed
