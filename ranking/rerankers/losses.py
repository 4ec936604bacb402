"""The losses of the rerankers' papers. Scores f32[B, L], labels f32[B, L] (0 = not liked), listed bool[B, L].

A list without any label teaches a listwise loss nothing and counts as zero.
"""

import torch
from torch import Tensor
from torch.nn import functional as fn

_FLOOR = 1e-7


def attention_rank(scores: Tensor, labels: Tensor, listed: Tensor) -> Tensor:
    """Attention rank loss (DLCM, SetRank): cross entropy of two distributions of attention.

    The labels' is exp(y) over the sum of the liked, 0 for the others; the scores' is their softmax; each place counts
    as a binary decision. Mean over the lists with a label.
    """
    wanted = torch.where((labels > 0) & listed, labels.exp(), torch.zeros_like(labels))
    total = wanted.sum(1, keepdim=True)
    wanted = wanted / total.clamp(min=_FLOOR)
    given = torch.softmax(scores, dim=1).clamp(_FLOOR, 1 - _FLOOR)
    loss = -(wanted * given.log() + (1 - wanted) * (1 - given).log()) * listed
    return _mean(loss.sum(1), total.squeeze(1) > 0)


def listwise(scores: Tensor, labels: Tensor, listed: Tensor) -> Tensor:
    """PRM: minus the sum over the liked of the log of the softmax. Mean over the lists with a label."""
    wanted = labels * listed
    return _mean(-(wanted * torch.log_softmax(scores, dim=1)).sum(1), wanted.sum(1) > 0)


def pointwise(scores: Tensor, labels: Tensor, listed: Tensor) -> Tensor:
    """MIR: binary cross entropy. Mean over the listed places."""
    loss = fn.binary_cross_entropy_with_logits(scores, labels, reduction="none")
    return (loss * listed).sum() / listed.sum().clamp(min=1)


def _mean(losses: Tensor, counted: Tensor) -> Tensor:
    return (losses * counted).sum() / counted.sum().clamp(min=1)
