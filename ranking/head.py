"""The matching head: how a candidate agrees with what a user experienced, did recently, and is expected to like.

Works on prestored vectors alone, for any backbone. Inputs are the tensors of the design, "Serving"; B users, N
candidates, F factors, d numbers each. torch and the standard library only: it runs in the Triton environment.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ranking.shape import RankerShape

TAUS = (0.05, 0.15)  # temperatures of the kernels over knowledge
COLLABORATIVE_TAUS = (0.1, 0.3)
HISTORY, EXPERIENCED, EXPECTED, SUMMARY = range(4)  # places in user_mask

_FAR = -1e4  # softmax weight 0, and finite where everything is hidden
_CLAMP = 5.0

# What hides a column; see `_gates`.
_NEAR, _EXPERIENCED, _EXPECTED, _EXPECTED_USER, _EXPECTED_ID, _HISTORY_USER = range(6)


def column_groups(factors: int, statistics: int) -> list[int]:
    """For each column of the features, which gate hides it."""
    return [
        *[_EXPERIENCED] * (2 * factors),
        *[_EXPECTED] * (2 * factors),
        *[_NEAR] * (len(TAUS) * (factors + 1)),
        _EXPECTED_USER,
        *[_EXPECTED] * len(TAUS),
        *[_EXPECTED_ID] * (len(COLLABORATIVE_TAUS) + 1),
        *[_HISTORY_USER] * (statistics - 1),
        _EXPECTED_USER,
    ]


class MatchingHead(nn.Module):
    """Features of user and candidate, standardised, with hidden parts at zero and the masks beside them."""

    anchor_vec: Tensor
    anchor_index: Tensor
    anchor_means: Tensor
    anchor_likeness: Tensor
    mean: Tensor
    scale: Tensor
    group: Tensor

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        groups = column_groups(shape.factors, shape.statistics)
        self.width = len(groups) + 5
        self.register_buffer("anchor_vec", torch.zeros(shape.anchors, shape.factors, shape.dim))
        self.register_buffer("anchor_index", torch.zeros(shape.anchors, dtype=torch.int32))
        self.register_buffer("anchor_means", torch.zeros(shape.anchors))
        # Cosines of items' and anchors' collaborative vectors (from training users); zeros for an unknown item.
        self.register_buffer("anchor_likeness", torch.zeros(shape.vocabulary, shape.anchors))
        self.register_buffer("mean", torch.zeros(len(groups)))
        self.register_buffer("scale", torch.ones(len(groups)))
        self.register_buffer("group", torch.tensor(groups), persistent=False)

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """Raw features f32[B, N, K] of all parts, whatever the masks say."""
        item = batch["item_vec"].float()
        columns = [
            _agreement(batch["user_experienced"].float(), item),
            _agreement(batch["user_expected"].float(), item),
            self._neighbourhood(batch, item),
            self._anchors(batch, item),
            batch["user_stats"].float().unsqueeze(1).expand(-1, item.shape[1], -1),
        ]
        return torch.cat(columns, dim=-1)

    def forward(self, batch: dict[str, Tensor], features: Tensor | None = None) -> Tensor:
        """f32[B, N, width]: standardised features (`features` if they are known already), and the masks."""
        raw = self.features(batch) if features is None else features
        standard = ((raw - self.mean) / self.scale).clamp(-_CLAMP, _CLAMP)
        count = raw.shape[1]
        masks = torch.cat(
            [
                batch["user_mask"].to(raw.dtype).unsqueeze(1).expand(-1, count, -1),
                batch["item_mask"].to(raw.dtype).unsqueeze(-1),
            ],
            dim=-1,
        )
        return torch.cat([standard * _gates(batch, raw.dtype)[..., self.group], masks], dim=-1)

    def _neighbourhood(self, batch: dict[str, Tensor], item: Tensor) -> Tensor:
        """The user's own values of items like the candidate: [B, N, len(TAUS) * (F + 1)]."""
        vec = batch["hist_vec"].float()
        present = batch["hist_index"] > 0  # an item outside the vocabulary is 1
        known = (vec.abs().amax(dim=(-1, -2)) > 0) & present
        value = batch["hist_value"].float()
        mean = (value * present).sum(-1, keepdim=True) / present.sum(-1, keepdim=True).clamp(min=1)
        surprise = (value - mean) * known  # [B, H]
        likeness = torch.einsum("bhfd,bnfd->bnfh", vec, item)
        likeness = torch.cat([likeness, 2.0 * likeness.mean(2, keepdim=True)], dim=2)
        likeness = likeness.masked_fill(~known[:, None, None, :], _FAR)
        kernels = [torch.softmax(likeness / tau, dim=-1) for tau in TAUS]
        return torch.cat([torch.einsum("bnfh,bh->bnf", kernel, surprise) for kernel in kernels], dim=-1)

    def _anchors(self, batch: dict[str, Tensor], item: Tensor) -> Tensor:
        """Anchor values against the usual, at anchors like the candidate: [B, N, 1 + len(TAUS) + 3]."""
        values = batch["user_anchors"].float()
        known = values > 0
        above = (values - self.anchor_means) * known
        level = above.sum(-1, keepdim=True) / known.sum(-1, keepdim=True).clamp(min=1)  # [B, 1]
        centred = (above - level) * known
        factors = item.shape[2]
        knowledge = torch.einsum("afd,bnfd->bna", self.anchor_vec, item) / factors
        index = batch["item_index"].long()
        collaborative = self.anchor_likeness[index]
        columns = [level.unsqueeze(1).expand(-1, item.shape[1], -1)]
        for likeness, taus in ((knowledge, TAUS), (collaborative, COLLABORATIVE_TAUS)):
            for tau in taus:
                kernel = torch.softmax((likeness / tau).masked_fill(~known[:, None], _FAR), dim=-1)
                columns.append(torch.einsum("bna,ba->bn", kernel, centred).unsqueeze(-1))
        itself = (index.unsqueeze(-1) == self.anchor_index).to(centred.dtype)
        columns.append(torch.einsum("bna,ba->bn", itself, centred).unsqueeze(-1))
        return torch.cat(columns, dim=-1)


def _agreement(sides: Tensor, item: Tensor) -> Tensor:
    """Cosines of [B, 2, F, d] (liked, disliked) with [B, N, F, d], per side and factor: [B, N, 2F]."""
    cosines = torch.einsum("bsfd,bnfd->bnsf", fn.normalize(sides, dim=-1), fn.normalize(item, dim=-1))
    return cosines.flatten(2)


def _gates(batch: dict[str, Tensor], dtype: torch.dtype) -> Tensor:
    """What may be seen, [B, N, 6], in the order of the constants above."""
    user = batch["user_mask"].to(dtype)
    item = batch["item_mask"].to(dtype)
    known_id = (batch["item_index"] > 1).to(dtype)
    shown = torch.ones_like(item)
    gates = [
        user[:, HISTORY, None] * item,
        user[:, EXPERIENCED, None] * item,
        user[:, EXPECTED, None] * item,
        user[:, EXPECTED, None] * shown,
        user[:, EXPECTED, None] * known_id,
        user[:, HISTORY, None] * shown,
    ]
    return torch.stack(gates, dim=-1)
