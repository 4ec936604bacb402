"""Rerankers behind one interface: `forward(batch, fields) -> scores [B, L]` of a list whose `base_score` is known.

A reranker is a file and a line. `LOSSES` holds the loss with which each paper trains its own.
"""

from collections.abc import Callable

from torch import Tensor, nn

from ranking.rerankers import losses
from ranking.rerankers.dlcm import Dlcm
from ranking.rerankers.mir import Mir
from ranking.rerankers.parts import READS
from ranking.rerankers.prm import Prm
from ranking.rerankers.setrank import SetRank
from ranking.shape import RankerShape

RERANKERS: dict[str, Callable[[RankerShape, int], nn.Module]] = {
    "dlcm": Dlcm,
    "prm": Prm,
    "setrank": SetRank,
    "mir": Mir,
}

# (scores f32[B, L], labels f32[B, L], listed bool[B, L]) -> the loss of the batch.
LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "dlcm": losses.attention_rank,
    "prm": losses.listwise,
    "setrank": losses.attention_rank,
    "mir": losses.pointwise,
}

__all__ = ["LOSSES", "READS", "RERANKERS"]
