"""What the matching head compares, as functions of tensors: B users, N candidates, F factors, d numbers each.

torch and the standard library only: it runs in the Triton environment.
"""

import torch
from torch import Tensor
from torch.nn import functional as fn

FAR = -1e4  # softmax weight 0, and finite where everything is hidden


def agreement(sides: Tensor, item: Tensor) -> Tensor:
    """Cosines of [B, S, F, d] (liked, disliked) with [B, N, F, d], per side and factor: [B, N, S * F]."""
    cosines = torch.einsum("bsfd,bnfd->bnsf", fn.normalize(sides, dim=-1), fn.normalize(item, dim=-1))
    return cosines.flatten(2)


def neighbourhood(vec: Tensor, surprise: Tensor, known: Tensor, item: Tensor, taus: tuple[float, ...]) -> Tensor:
    """The user's own surprises at items like the candidate, per temperature, factor, and for twice the factors' mean.

    `vec` [B, H, F, d], `surprise` [B, H] (0 where not `known`), `item` [B, N, F, d]: [B, N, len(taus) * (F + 1)].
    """
    likeness = torch.einsum("bhfd,bnfd->bnfh", vec, item)
    likeness = torch.cat([likeness, 2.0 * likeness.mean(2, keepdim=True)], dim=2)
    likeness = likeness.masked_fill(~known[:, None, None, :], FAR)
    kernels = [torch.softmax(likeness / tau, dim=-1) for tau in taus]
    return torch.cat([torch.einsum("bnfh,bh->bnf", kernel, surprise) for kernel in kernels], dim=-1)


def weighted(likeness: Tensor, known: Tensor, values: Tensor, taus: tuple[float, ...]) -> Tensor:
    """Softmax-weighted `values` [B, K] by `likeness` [B, N, K] among `known` [B, K]: [B, N, len(taus)]."""
    columns = []
    for tau in taus:
        kernel = torch.softmax((likeness / tau).masked_fill(~known[:, None], FAR), dim=-1)
        columns.append(torch.einsum("bnk,bk->bn", kernel, values))
    return torch.stack(columns, dim=-1)


def surprises(value: Tensor, present: Tensor, known: Tensor) -> Tensor:
    """Values [B, H] minus the user's mean over `present`, 0 where not `known`."""
    mean = (value * present).sum(-1, keepdim=True) / present.sum(-1, keepdim=True).clamp(min=1)
    return (value - mean) * known
