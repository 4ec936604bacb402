"""The ranker before any training: closer to what was liked, further from what was disliked. No weights.

Serves a stack whose release is not trained yet, and the tests of everything around the ranker.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from serving.tensors import PARTS


class CosineRanker(nn.Module):
    """Mean over factors of cos(candidate, liked) - cos(candidate, disliked); the same for what is expected.

    Takes the tensors of the design, "Serving"; returns logits f32[B, N]. A part that `user_mask` hides, or a
    candidate that `item_mask` hides, adds nothing.
    """

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits f32[B, N]."""
        item = batch["item_vec"]
        logits = item.new_zeros(item.shape[:2])
        for name in ("experienced", "expected"):
            part = batch[f"user_{name}"][:, :, None]  # [B, 2, 1, F, d]
            likeness = cosine_similarity(item[:, None], part, dim=-1).mean(-1)  # [B, 2, N]
            used = batch["user_mask"][:, PARTS.index(name), None] != 0
            logits = logits + torch.where(used, likeness[:, 0] - likeness[:, 1], 0.0)
        return torch.where(batch["item_mask"] != 0, 4.0 * logits, 0.0)
