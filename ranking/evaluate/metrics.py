"""Metrics over samples of many users. Labels are 0 or 1; scores are logits (any real numbers where only order counts).

AUC pools all samples, so it also rewards knowing which users like much; GAUC and NDCG compare within a user alone.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.int64]
_STEEPEST = 8.0  # bounds of log(1 / temperature): beyond, the scores say nothing or everything


def auc(label: Floats, score: Floats) -> float:
    """Share of (positive, negative) pairs in the right order; a tie counts half. NaN with one class alone."""
    positive = label > 0.5
    wins, losses = int(positive.sum()), int((~positive).sum())
    if not wins or not losses:
        return float("nan")
    _, group, size = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2.0)[group]  # 1 = lowest; tied scores share their mean rank
    return float((rank[positive].sum() - wins * (wins + 1) / 2.0) / (wins * losses))


def gauc(user: Numbers, label: Floats, score: Floats) -> float:
    """Mean of each user's own AUC, weighted by the user's samples; users with one class alone are left out."""
    total, weight = 0.0, 0
    for rows in by_user(user):
        own = auc(label[rows], score[rows])
        if not np.isnan(own):
            total += own * len(rows)
            weight += len(rows)
    return total / weight if weight else float("nan")


def ndcg(relevance: Floats, score: Floats, most: int) -> float:
    """NDCG@most of one list, gain = relevance, discount 1 / log2(place + 1); NaN if nothing is relevant.

    Tied scores take the mean over their orders (McSherry and Najork, ECIR 2008).
    """
    discount = _discounts(len(relevance), most)
    ideal = float(np.sort(relevance)[::-1] @ discount)
    return float(_shared(relevance, score) @ discount / ideal) if ideal > 0 else float("nan")


def user_ndcg(user: Numbers, label: Floats, score: Floats, most: int = 10) -> float:
    """Mean NDCG@most over users, each over their own samples; users without a positive are left out."""
    own = [ndcg(label[rows], score[rows], most) for rows in by_user(user)]
    known = [value for value in own if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def average_precision(relevance: Floats, order: Numbers, most: int) -> float:
    """AP@most of a list read in `order` (places of the list, best first); NaN if nothing is relevant.

    Divided by min(relevant, most), so that a perfect order has 1.
    """
    read = relevance[order[:most]] > 0.5
    relevant = int((relevance > 0.5).sum())
    if not relevant:
        return float("nan")
    precision = np.cumsum(read) / np.arange(1, len(read) + 1)
    return float((precision * read).sum() / min(relevant, most))


def log_loss(label: Floats, logit: Floats) -> float:
    """Mean negative log likelihood, in nats."""
    wide = logit.astype(np.float64)
    return float((np.logaddexp(0.0, wide) - label * wide).mean())


def temperature(label: Floats, logit: Floats) -> float:
    """The T > 0 that minimises `log_loss(label, logit / T)`; fitted on validation, for every variant alike."""
    wide = logit.astype(np.float64)
    low, high = -_STEEPEST, _STEEPEST
    for _ in range(60):
        # The loss is convex in s = 1 / T: look for the zero of its slope.
        middle = (low + high) / 2.0
        slope = float((wide * (sigmoid(np.exp(middle) * wide) - label)).mean())
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2.0))


def sigmoid(logit: Floats) -> Floats:
    """1 / (1 + exp(-logit)), without overflow."""
    chance: Floats = np.exp(-np.logaddexp(0.0, -logit))
    return chance


def calibration(label: Floats, logit: Floats, bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean predicted, share of positives, samples) in bins of equal numbers of samples, lowest first."""
    chance = sigmoid(logit.astype(np.float64))
    parts = np.array_split(np.argsort(chance, kind="stable"), bins)
    return [(float(chance[rows].mean()), float(label[rows].mean()), len(rows)) for rows in parts if len(rows)]


def by_user(user: Numbers) -> Iterator[Numbers]:
    """Row numbers of each user's samples, in order of rows."""
    order = np.argsort(user, kind="stable")
    _, first = np.unique(user[order], return_index=True)
    yield from np.split(order, first[1:]) if len(order) else ()


def _discounts(length: int, most: int) -> Floats:
    place = np.arange(1, length + 1)
    return np.where(place <= most, 1.0 / np.log2(place + 1.0), 0.0)


def _shared(relevance: Floats, score: Floats) -> Floats:
    """Relevance in the order of the scores, best first; each tied run holds its mean."""
    _, group = np.unique(-score, return_inverse=True)
    size = np.bincount(group)
    means = np.bincount(group, weights=relevance) / size
    return np.repeat(means, size)
