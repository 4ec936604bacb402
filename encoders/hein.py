"""HEIN, the expert network that condenses factor texts: one space for both sides, and a summary of each side.

(a) Per factor one linear projection from the text encoder's space (384) to d = 16, started from PCA and shared by
everything that is compared: candidates, history, experienced and expected. (b) Shared and dedicated experts
(MLP to 32) mixed by one softmax gate per side, after KAR's expert network (arXiv 2306.10933, section 3.3) and REKI
(arXiv 2408.10520). Each side is computable alone, so everything is prestored. torch and the standard library only:
it also runs in the Triton environment.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as fn


@dataclass(frozen=True)
class HeinShape:
    """Sizes of the network; part of a release."""

    factors: int = 9  # F
    text_dim: int = 384  # width of the sentence encoder
    dim: int = 16  # d, width of a projected factor vector
    summary: int = 32  # width of a side's summary
    hidden: int = 64  # width inside an expert
    shared: int = 2  # experts that see both sides
    dedicated: int = 2  # experts of each side


class Hein(nn.Module):
    """Factor text vectors to prestored features of one side."""

    item_mean: Tensor
    user_mean: Tensor

    def __init__(self, shape: HeinShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("item_mean", torch.zeros(shape.factors, shape.text_dim))
        self.register_buffer("user_mean", torch.zeros(shape.factors, shape.text_dim))
        self.projection = nn.Parameter(torch.zeros(shape.factors, shape.text_dim, shape.dim))
        width = shape.factors * shape.dim
        self.shared = nn.ModuleList(_expert(width, shape) for _ in range(shape.shared))
        self.item_experts = nn.ModuleList(_expert(width, shape) for _ in range(shape.dedicated))
        self.user_experts = nn.ModuleList(_expert(width, shape) for _ in range(shape.dedicated))
        self.item_gate = nn.Linear(width, shape.shared + shape.dedicated)
        self.user_gate = nn.Linear(width, shape.shared + shape.dedicated)

    def item(self, texts: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Items: `texts` f32[n, F, text_dim] (unit vectors), `mask` [n, F] (0 = no text for that factor).

        Returns (vec f32[n, F, d], zeros where there is no text; summary f32[n, 32]).
        """
        vec = self.project(centre(texts, self.item_mean, mask))
        return vec, self.item_summary(vec)

    def user(self, texts: Tensor, mask: Tensor) -> Tensor:
        """Users: as `item`; returns the summary f32[n, 32] alone, for a user's texts are not compared with items'."""
        return self.user_summary(self.project(centre(texts, self.user_mean, mask)))

    def project(self, centred: Tensor) -> Tensor:
        """Centred unit vectors f32[n, F, text_dim] to unit vectors f32[n, F, d]; zeros stay zeros.

        Unit length, so that sums over items weigh them alike and half precision keeps every one.
        """
        return fn.normalize(torch.einsum("nft,ftd->nfd", centred, self.projection), dim=-1)

    def fit_space(self, items: Tensor, item_mask: Tensor, users: Tensor, user_mask: Tensor) -> None:
        """Set the centring means, and the projections to the principal axes of the items' texts, factor by factor.

        `items` f32[n, F, text_dim] with `item_mask` [n, F], `users` likewise; needs no ratings.
        """
        with torch.no_grad():
            self.item_mean.copy_(_masked_mean(items, item_mask))
            self.user_mean.copy_(_masked_mean(users, user_mask))
            centred = centre(items, self.item_mean, item_mask)
            for factor in range(self.shape.factors):
                axes = torch.linalg.svd(centred[:, factor], full_matrices=False)[2][: self.shape.dim].T
                # The sign of an axis is the solver's whim: the largest entry made positive, so that runs agree.
                largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
                self.projection[factor] = axes * torch.sign(largest)

    def item_summary(self, vec: Tensor) -> Tensor:
        """Mix of shared and item experts over projected vectors f32[n, F, d]: f32[n, 32]."""
        return _mix(vec, [*self.shared, *self.item_experts], self.item_gate)

    def user_summary(self, vec: Tensor) -> Tensor:
        """Mix of shared and user experts over projected vectors f32[n, F, d]: f32[n, 32]."""
        return _mix(vec, [*self.shared, *self.user_experts], self.user_gate)


def centre(texts: Tensor, mean: Tensor, mask: Tensor) -> Tensor:
    """Text vectors minus the factor's mean, to unit length; zeros where `mask` is 0."""
    return fn.normalize(texts - mean, dim=-1) * mask.to(texts.dtype).unsqueeze(-1)


def _masked_mean(texts: Tensor, mask: Tensor) -> Tensor:
    weights = mask.to(texts.dtype).unsqueeze(-1)
    return (texts * weights).sum(0) / weights.sum(0).clamp(min=1.0)


def _expert(width: int, shape: HeinShape) -> nn.Module:
    return nn.Sequential(nn.Linear(width, shape.hidden), nn.ReLU(), nn.Linear(shape.hidden, shape.summary))


def _mix(vec: Tensor, experts: list[nn.Module], gate: nn.Module) -> Tensor:
    flat = vec.flatten(1)
    outputs = torch.stack([expert(flat) for expert in experts], dim=1)
    weights = torch.softmax(gate(flat), dim=-1).unsqueeze(-1)
    return (outputs * weights).sum(1)
