"""Paired intervals: whole users are drawn with replacement, the same draws for everything that is compared.

A user's samples hang together, so drawing samples would make intervals far too narrow. Each fold draws its own test
users; a draw's value is the mean over folds. AUC under repeated users is computed exactly from a table of users'
pairs, w' C w / ((w' p)(w' n)), and not by sorting the samples again for every draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranking.evaluate.metrics import Floats, Numbers

DRAWS = 2000
_SEED = 20260101


@dataclass(frozen=True)
class UserPairs:
    """What AUC and GAUC of one fold's test users need, by user (in the order of their numbers)."""

    users: Numbers  # [U]
    pairs: npt.NDArray[np.float64]  # [U, U] positives of the row's user that beat negatives of the column's; ties half
    positives: Numbers  # [U]
    negatives: Numbers  # [U]

    @classmethod
    def of(cls, user: Numbers, label: Floats, score: Floats) -> "UserPairs":
        """From samples: user number, label 0 or 1, score."""
        users, row = np.unique(user, return_inverse=True)
        levels, level = np.unique(score, return_inverse=True)
        positive = label > 0.5
        count = len(users)
        lost = np.zeros((len(levels), count))
        np.add.at(lost, (level[~positive], row[~positive]), 1.0)
        below = np.cumsum(lost, axis=0) - lost / 2.0  # negatives below each level, and half of those on it
        pairs = np.zeros((count, count))
        np.add.at(pairs, row[positive], below[level[positive]])
        wins = np.bincount(row[positive], minlength=count)
        return cls(users, pairs, wins, np.bincount(row, minlength=count) - wins)

    def auc(self, weights: Floats) -> Floats:
        """Pooled AUC of each draw; `weights` [D, U] says how often a user was drawn."""
        beaten = np.einsum("du,du->d", weights @ self.pairs, weights)
        return _shares(beaten, (weights @ self.positives) * (weights @ self.negatives))

    def gauc(self, weights: Floats) -> Floats:
        """GAUC of each draw."""
        both = (self.positives > 0) & (self.negatives > 0)
        own = np.diag(self.pairs)[both] / (self.positives[both] * self.negatives[both])
        size = (self.positives + self.negatives)[both] * weights[:, both]
        return _shares(size @ own, size.sum(1))


@dataclass(frozen=True)
class Drawn:
    """A metric of one model: as observed, and in every draw (NaN where a draw has no value)."""

    observed: float
    draws: Floats  # [D]

    def interval(self) -> tuple[float, float, float]:
        """2.5th percentile, observed value, 97.5th percentile."""
        known = self.draws[~np.isnan(self.draws)]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        return float(low), self.observed, float(high)

    def over(self, other: "Drawn") -> "Drawn":
        """Relative gain over `other`, draw by draw; both must come from the same draws."""
        return Drawn(self.observed / other.observed - 1.0, self.draws / other.draws - 1.0)

    def minus(self, other: "Drawn") -> "Drawn":
        """Difference to `other`, draw by draw; both must come from the same draws."""
        return Drawn(self.observed - other.observed, self.draws - other.draws)

    def chance(self) -> float:
        """Two-sided bootstrap p-value of "the true value is 0" (never below 2 / (draws + 1))."""
        small = min(int((self.draws <= 0).sum()), int((self.draws >= 0).sum()))
        return min(1.0, 2.0 * (1 + small) / (len(self.draws) + 1))


def user_draws(users: int, place: int, draws: int = DRAWS) -> npt.NDArray[np.float64]:
    """How often each of a fold's `users` was drawn, [draws, users]; the same numbers for every model.

    `place` tells the folds apart.
    """
    draw = np.random.default_rng([_SEED, place])
    return draw.multinomial(users, np.full(users, 1.0 / users), size=draws).astype(np.float64)


def drawn(folds: Sequence[UserPairs], metric: str, draws: int = DRAWS) -> Drawn:
    """Metric `auc` or `gauc`, averaged over folds, observed and in every draw."""
    observed, values = [], []
    for place, pairs in enumerate(folds):
        of = pairs.auc if metric == "auc" else pairs.gauc
        observed.append(float(of(np.ones((1, len(pairs.users))))[0]))
        values.append(of(user_draws(len(pairs.users), place, draws)))
    return Drawn(float(np.mean(observed)), np.mean(values, axis=0))


def drawn_means(folds: Sequence[tuple[Numbers, Floats]], draws: int = DRAWS) -> Drawn:
    """Mean of values that belong to users, averaged over folds: per fold (user, value) of each; NaN = not defined.

    All users of a fold are drawn, those without a value too, so that the draws are the same for every metric.
    """
    observed, values = [], []
    for place, (user, value) in enumerate(folds):
        users, row = np.unique(user, return_inverse=True)
        known = ~np.isnan(value)
        total = np.bincount(row[known], weights=value[known], minlength=len(users))
        count = np.bincount(row[known], minlength=len(users))
        observed.append(float(total.sum() / count.sum()))
        weights = user_draws(len(users), place, draws)
        values.append(_shares(weights @ total, weights @ count))
    return Drawn(float(np.mean(observed)), np.mean(values, axis=0))


def _shares(part: Floats, whole: Floats) -> Floats:
    """Part / whole, NaN where a draw holds nothing to compare (few users, all of one class)."""
    result: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return result
