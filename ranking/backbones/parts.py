"""What the backbones share: embedding-width fields, first-order terms, and the tower of fully connected layers.

B users, N candidates, m fields, e = `shape.embedding` numbers each. torch and the standard library only.
"""

import torch
from torch import Tensor, nn

from ranking.shape import RankerShape

# Every backbone reads these tensors of the batch, and nothing else beside `fields`.
READS = ("item_index", "hist_index", "hist_value", "user_mask")

_OWN = 3  # candidate, history, history by value


def item_embedding(shape: RankerShape) -> nn.Embedding:
    """Embedding of items with a small start and zeros for padding (row 0)."""
    items = nn.Embedding(shape.vocabulary, shape.embedding, padding_idx=0)
    nn.init.normal_(items.weight, std=0.01)
    with torch.no_grad():
        items.weight[0] = 0
    return items


class Dropout(nn.Module):
    """`nn.Dropout` in half the time: on a CPU its Bernoulli draws take a tenth of a training step and more."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Tensor:
        """Zeros for a random `share` of the numbers in training, the others scaled up."""
        if not self.training:
            return values
        return values * (torch.rand_like(values) >= self.share).to(values.dtype) * (1.0 / (1.0 - self.share))


def tower(size: int, shape: RankerShape, out: int | None = 1) -> nn.Sequential:
    """Fully connected layers of `shape.hidden`, ReLU and dropout after each; `out` None leaves the last linear out."""
    layers: list[nn.Module] = []
    for hidden in shape.hidden:
        layers += [nn.Linear(size, hidden), nn.ReLU(), Dropout(shape.dropout)]
        size = hidden
    if out is not None:
        layers.append(nn.Linear(size, out))
    return nn.Sequential(*layers)


def matrices(*shape: int) -> nn.Parameter:
    """A stack of matrices [..., n, n], each started as a linear layer of its own.

    `nn.init` would count the whole stack as one kernel and start all of them several times too small.
    """
    return nn.Parameter(torch.randn(*shape) * shape[-1] ** -0.5)


def recent(batch: dict[str, Tensor], shape: RankerShape) -> tuple[Tensor, Tensor]:
    """Indices i64[B, h] and standardised values f32[B, h] of the newest `shape.backbone_history` entries."""
    index = batch["hist_index"][:, : shape.backbone_history].long()
    value = (batch["hist_value"][:, : shape.backbone_history].float() - shape.middle) / shape.spread
    return index, value


class FieldEmbedding(nn.Module):
    """The fields of the field-wise models, [B, N, count, e].

    Candidate: its id's embedding. History: mean of the newest entries' embeddings, plus their mean value projected to
    e numbers. History by value: mean of value times embedding, so that liked and disliked items stand apart (in a
    plain mean they cannot). Then what stands beside the ids: its columns split into groups of e; if their number is
    no multiple of e, projected linearly to the next multiple first.
    """

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.shape = shape
        groups = -(-fields // shape.embedding)
        self.count = _OWN + groups
        self.items = item_embedding(shape)
        self.value = nn.Linear(1, shape.embedding)
        ragged = fields % shape.embedding != 0
        self.project = nn.Linear(fields, groups * shape.embedding) if ragged else nn.Identity()

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """f32[B, N, count, e]; `fields` f32[B, N, width]."""
        candidate = self.items(batch["item_index"].long())
        own = torch.stack([candidate, *(part.unsqueeze(1).expand_as(candidate) for part in self.history(batch))], dim=2)
        if fields is None:
            return own
        beside: Tensor = self.project(fields)
        return torch.cat([own, beside.reshape(*beside.shape[:-1], -1, self.shape.embedding)], dim=2)

    def history(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The two fields of the history, each [B, e]; zeros where it is hidden or empty."""
        index, value = recent(batch, self.shape)
        present = (index > 0).to(value.dtype)
        count = present.sum(1, keepdim=True).clamp(min=1)
        weights = torch.stack([present, present * value], dim=1) / count.unsqueeze(1)  # [B, 2, h]
        pooled = torch.bmm(weights, self.items(index))  # [B, 2, e]
        shown = batch["user_mask"][:, :1].to(value.dtype) * (present.sum(1, keepdim=True) > 0)
        mean_value = weights[:, 1].sum(1, keepdim=True)
        return (pooled[:, 0] + self.value(mean_value)) * shown, pooled[:, 1] * shown


class FirstOrder(nn.Module):
    """The linear part of the factorisation-machine family: a weight per id and per column, [B, N]."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        super().__init__()
        self.shape = shape
        self.items = nn.Embedding(shape.vocabulary, 1, padding_idx=0)
        self.seen = nn.Embedding(shape.vocabulary, 1, padding_idx=0)
        nn.init.zeros_(self.items.weight)
        nn.init.zeros_(self.seen.weight)
        self.beside = nn.Linear(fields, 1) if fields else None
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Bias + weight of the candidate + mean of value times weight over the history + weights of `fields`."""
        index, value = recent(batch, self.shape)
        present = (index > 0).to(value.dtype)
        user = (self.seen(index).squeeze(-1) * value).sum(1) / present.sum(1).clamp(min=1)
        user = user * batch["user_mask"][:, 0].to(value.dtype)
        logits: Tensor = self.bias + self.items(batch["item_index"].long()).squeeze(-1) + user.unsqueeze(1)
        if self.beside is not None and fields is not None:
            logits = logits + self.beside(fields).squeeze(-1)
        return logits
