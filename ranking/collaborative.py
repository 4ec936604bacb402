"""What training users' ratings say of items: which are rated alike, and what is usual for each."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as fn

from ranking.datasets.movielens import Rating

RANK = 32
_RIDGE = 3.0
_SHRINK_ITEM, _SHRINK_PAIR = 5.0, 100.0  # ratings of nothing added to each mean and each covariance


def collaborative_vectors(
    ratings: Sequence[Rating], users: Collection[str], vocabulary: Mapping[str, int], rank: int = RANK
) -> Tensor:
    """Unit vectors f32[vocabulary + 2, rank] of items, from the ratings of `users` (training users) alone.

    A plain truncated SVD of centred ratings.

    Row 0 (padding), row 1 (unknown) and items that none of `users` rated are zeros.
    """
    table, rated = _ratings(ratings, users, vocabulary)
    mean = table.sum(1, keepdim=True) / rated.sum(1, keepdim=True).clamp(min=1)
    _, strength, axes = torch.linalg.svd((table - mean) * rated, full_matrices=False)
    vectors = (axes[:rank] * strength[:rank, None].sqrt()).T
    if vectors.shape[1] < rank:  # fewer users than axes: the rest is nothing
        vectors = fn.pad(vectors, (0, rank - vectors.shape[1]))
    return fn.normalize(vectors, dim=-1) * (rated.sum(0) > 0).float().unsqueeze(-1)


def tastes(
    ratings: Sequence[Rating], users: Collection[str], vocabulary: Mapping[str, int], rank: int = RANK
) -> tuple[Tensor, Tensor]:
    """Covariance of items' surprises, factorised (f32[vocabulary + 2, rank]), and what is usual for each item.

    A surprise is a value minus the user's mean and the item's. The covariance of a pair is shrunk by the number of
    users who rated both. What is usual, f32[vocabulary + 2, 2]: the item's mean surprise (before its own is taken
    off; shrunk), and log1p(ratings).
    """
    table, rated = _ratings(ratings, users, vocabulary)
    mean = table.sum(1, keepdim=True) / rated.sum(1, keepdim=True).clamp(min=1)
    count = rated.sum(0)
    centred = (table - mean) * rated
    usual = centred.sum(0) / (count + _SHRINK_ITEM)
    surprise = (centred - usual) * rated
    covariance = (surprise.T @ surprise) / (rated.T @ rated + _SHRINK_PAIR)
    strength, axes = torch.linalg.eigh(covariance)
    factors = axes[:, -rank:] * strength[-rank:].clamp(min=0).sqrt()
    if factors.shape[1] < rank:
        factors = fn.pad(factors, (0, rank - factors.shape[1]))
    return factors, torch.stack([usual, torch.log1p(count)], dim=1)


def told_tastes(item_vec: Tensor, factors: Tensor, usual: Tensor) -> Tensor:
    """Ridge regression of items' tastes on their knowledge: f32[F * d, rank], items weighted by their ratings.

    `item_vec` f32[vocabulary + 2, F, d], `factors` and `usual` as of `tastes`.
    """
    vec, weight = item_vec.flatten(1), usual[:, 1:] ** 2
    strength = _RIDGE * weight.mean() * torch.eye(vec.shape[1])
    told: Tensor = torch.linalg.solve(vec.T @ (vec * weight) + strength, vec.T @ (factors * weight))
    return told


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


def _ratings(ratings: Sequence[Rating], users: Collection[str], vocabulary: Mapping[str, int]) -> tuple[Tensor, Tensor]:
    """Values f32[users, vocabulary + 2], 0 where there is none, and where there is one."""
    rows = {user: row for row, user in enumerate(sorted(users))}
    table = torch.zeros(len(rows), len(vocabulary) + 2)
    for rating in ratings:
        if rating.user_id in rows and rating.item_id in vocabulary:
            table[rows[rating.user_id], vocabulary[rating.item_id]] = rating.value
    return table, (table > 0).float()
