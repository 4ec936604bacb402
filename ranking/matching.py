"""What the matching head compares, as functions of tensors: B users, N candidates, F factors, d numbers each.

Written for one user at a time on one thread: few and large products, and nothing computed that no group asks for.
torch and the standard library only: it runs in the Triton environment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as fn

# The narrower of two kernels has a third of the wider one's temperature, so it is the wider one's cube, normalised.
SHARPER = 3
_FAR = -1e30  # softmax weight 0, and finite where everything is hidden


class Seen:
    """A batch of `Ranker.forward`'s tensors, and what several groups of columns need of it, each computed once."""

    def __init__(self, batch: dict[str, Tensor], tables: Callable[[str], Tensor]) -> None:
        """`tables` names the head's tables f32[V, r], rows by vocabulary index."""
        self.batch = batch
        self.history = batch["hist_index"].shape[1]  # H
        self.count = batch["item_index"].shape[1]  # N
        self._tables = tables
        self._rows: dict[str, Tensor] = {}

    @cached_property
    def index(self) -> Tensor:
        """Vocabulary indices i64[B, H + N] of the history and of the candidates: one look-up in each table."""
        return torch.cat([self.batch["hist_index"], self.batch["item_index"]], dim=1).long()

    def rows(self, table: str) -> tuple[Tensor, Tensor]:
        """A table's rows of the history f32[B, H, r] and of the candidates f32[B, N, r]."""
        if table not in self._rows:
            self._rows[table] = fn.embedding(self.index, self._tables(table))
        rows = self._rows[table]
        return rows[:, : self.history], rows[:, self.history :]

    @cached_property
    def item(self) -> Tensor:
        """Candidates' vectors f32[B, N, F, d]."""
        return self.batch["item_vec"].float()

    @cached_property
    def unit(self) -> Tensor:
        """The same, each factor's of length 1, flat: f32[B, N, F * d]."""
        return unit(self.item).flatten(2)

    @cached_property
    def vec(self) -> Tensor:
        """History's vectors, flat: f32[B, H, F * d]."""
        return self.batch["hist_vec"].float().flatten(2)

    @cached_property
    def present(self) -> Tensor:
        """Entries of the history, bool[B, H]; an item outside the vocabulary has index 1."""
        return self.batch["hist_index"] > 0

    @cached_property
    def value(self) -> Tensor:
        """Values f32[B, H] of the history."""
        return self.batch["hist_value"].float()

    @cached_property
    def surprise(self) -> Tensor:
        """Values f32[B, H] minus the user's mean."""
        present = self.present.float()
        return self.value - (self.value * present).sum(-1, keepdim=True) / present.sum(-1, keepdim=True).clamp(min=1)

    def known(self, vec: Tensor) -> Tensor:
        """Entries of the history that have a vector [B, H, r] which is not zeros: bool[B, H]."""
        known: Tensor = (torch.linalg.vector_norm(vec, dim=-1) > 0) & self.present
        return known


def unit(vec: Tensor) -> Tensor:
    """Vectors [..., d] of length 1; zeros stay zeros."""
    length: Tensor = torch.linalg.vector_norm(vec, dim=-1, keepdim=True)
    return vec / length.clamp_min(1e-12)


def agreement(sides: Tensor, item: Tensor) -> Tensor:
    """Cosines of [B, S, F, d] (liked, disliked) with [B, N, F * d] of `Seen.unit`, per factor: [B, N, S * F].

    One product with a matrix that has a factor's numbers in that factor's columns and zeros in all others.
    """
    users, count, factors, dim = sides.shape
    apart = unit(sides).unsqueeze(3) * torch.eye(factors, dtype=sides.dtype, device=sides.device).unsqueeze(-1)
    return torch.bmm(item, apart.reshape(users, count * factors, factors * dim).transpose(1, 2))


def mean_agreement(sides: Tensor, item: Tensor) -> Tensor:
    """Means over the factors of the cosines of `agreement`: [B, N, S]."""
    return torch.bmm(item, (unit(sides) / sides.shape[2]).flatten(2).transpose(1, 2))


def by_factor(vec: Tensor, item: Tensor) -> Tensor:
    """Likenesses of [B, H, F * d] with [B, N, F, d] per factor, and twice their mean: [B, F + 1, N, H]."""
    likeness = torch.einsum("bhfd,bnfd->bfnh", vec.reshape(*vec.shape[:2], *item.shape[2:]), item)
    return torch.cat([likeness, 2.0 * likeness.mean(1, keepdim=True)], dim=1)


def hidden(known: Tensor) -> Tensor:
    """What is added to a likeness, [B, 1, K]: nothing where `known` [B, K], else so much that its weight is 0."""
    return torch.where(known, 0.0, _FAR).unsqueeze(1)


@dataclass(frozen=True)
class Pairs:
    """P likenesses [B, N, K] of the candidates with K things, at temperature 1, and what was said of the things."""

    likeness: Sequence[Tensor]
    value: Tensor  # [B, K]; 0 where `hidden`, so that the answer is 0 where everything is


def smoothed(pairs: Mapping[str, Pairs]) -> dict[str, Tensor]:
    """Softmax-weighted values by likeness, at temperature 1 / `SHARPER` and, in columns behind these, 1: [B, N, 2 * P].

    Small tensors of all names together, for one softmax costs less than four.
    """
    if not pairs:
        return {}
    width = max(one.value.shape[1] for one in pairs.values())
    kernel = torch.softmax(
        torch.stack([_wide(each, width, _FAR) for one in pairs.values() for each in one.likeness]), dim=-1
    )
    value = torch.stack([_wide(one.value, width, 0.0) for one in pairs.values() for _ in one.likeness]).unsqueeze(2)
    sharper = kernel**SHARPER
    smooth = torch.stack([(sharper * value).sum(-1) / sharper.sum(-1), (kernel * value).sum(-1)], dim=-1)
    parts = torch.split(smooth, [len(one.likeness) for one in pairs.values()])  # [P, B, N, 2] each
    return {name: part.permute(1, 2, 3, 0).flatten(2) for name, part in zip(pairs, parts, strict=True)}


def _wide(tensor: Tensor, width: int, value: float) -> Tensor:
    missing = width - tensor.shape[-1]
    return fn.pad(tensor, (0, missing), value=value) if missing else tensor
