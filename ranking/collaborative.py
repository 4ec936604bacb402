"""Which items the training users rate alike: a plain truncated SVD of their centred ratings."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as fn

from ranking.datasets.movielens import Rating


def anchor_likeness(
    ratings: Sequence[Rating],
    users: Collection[str],
    vocabulary: Mapping[str, int],
    anchors: Sequence[str],
    rank: int = 32,
) -> Tensor:
    """Cosines f32[vocabulary + 2, A] of items and anchors, from the ratings of `users` (training users) alone.

    Row 0 (padding), row 1 (unknown), and anchors outside the vocabulary are zeros.
    """
    rows = {user: row for row, user in enumerate(sorted(users))}
    size = len(vocabulary) + 2
    table = torch.zeros(len(rows), size)
    for rating in ratings:
        if rating.user_id in rows and rating.item_id in vocabulary:
            table[rows[rating.user_id], vocabulary[rating.item_id]] = rating.value
    rated = (table > 0).float()
    mean = table.sum(1, keepdim=True) / rated.sum(1, keepdim=True).clamp(min=1)
    _, strength, axes = torch.linalg.svd((table - mean) * rated, full_matrices=False)
    vectors = fn.normalize((axes[:rank] * strength[:rank, None].sqrt()).T, dim=-1)
    vectors = vectors * (rated.sum(0) > 0).float().unsqueeze(-1)
    places = [vocabulary.get(anchor, 0) for anchor in anchors]
    return vectors @ vectors[places].T
