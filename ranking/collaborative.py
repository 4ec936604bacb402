"""Which items the training users rate alike: a plain truncated SVD of their centred ratings."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as fn

from ranking.datasets.movielens import Rating

RANK = 32


def collaborative_vectors(
    ratings: Sequence[Rating], users: Collection[str], vocabulary: Mapping[str, int], rank: int = RANK
) -> Tensor:
    """Unit vectors f32[vocabulary + 2, rank] of items, from the ratings of `users` (training users) alone.

    Row 0 (padding), row 1 (unknown) and items that none of `users` rated are zeros.
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
    vectors = (axes[:rank] * strength[:rank, None].sqrt()).T
    if vectors.shape[1] < rank:  # fewer users than axes: the rest is nothing
        vectors = fn.pad(vectors, (0, rank - vectors.shape[1]))
    return fn.normalize(vectors, dim=-1) * (rated.sum(0) > 0).float().unsqueeze(-1)


def anchor_likeness(vectors: Tensor, vocabulary: Mapping[str, int], anchors: Sequence[str]) -> Tensor:
    """Cosines f32[vocabulary + 2, A] of all items with the anchors; an anchor outside the vocabulary is zeros."""
    places = [vocabulary.get(anchor, 0) for anchor in anchors]
    return vectors @ vectors[places].T


def out_of_fold(users: Sequence[str], parts: int = 5) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Training users in `parts`: (users of a part, all others), so that nobody's own ratings are in their vectors."""
    return [
        (tuple(users[part::parts]), tuple(user for place, user in enumerate(users) if place % parts != part))
        for part in range(parts)
        if users[part::parts]
    ]
