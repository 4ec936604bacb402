"""`ranking.regression` for one user in numpy: all regressions that `ours` reads, in the fewest steps.

Formulas and names are those of `ranking.regression`, and a test holds both together. K observed values: H of the
history, two of the expected means, A of the anchors. numpy and torch: this runs inside Triton.
"""

import numpy as np
import numpy.typing as npt
import torch

from ranking import regression

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_ABSENT = np.float32(1e4)  # noise of what is not there
# Of an expected like, of an expected dislike.
EXPECTED_SURPRISE: Floats = regression.expected_surprise(torch.device("cpu"))[0].numpy()

# In an order in which those that compare texts, and those that compare training users, are neighbours.
GUESSES = ("level", "taste_knowledge", "taste", "anchored", "taste_collaborative")
TOLD, SHARED = slice(1, 4), slice(2, 5)
_ANCHORED = GUESSES.index("anchored")
_OWN = [place for place in range(len(GUESSES)) if place != _ANCHORED]  # on the user's own values alone


class Regression:
    """What depends on the release alone, once."""

    def __init__(self, anchor_vec: Floats, anchor_taste: Floats, factors: int, history: int) -> None:
        """`anchor_vec` f32[A, F * d], `anchor_taste` f32[A, r], `factors` F, `history` H."""
        self._history = history
        self._observed = history + 2  # of the user: anchors' vectors are the same for everybody
        self._anchor_vec, self._anchor_taste = anchor_vec, anchor_taste
        self.scale = np.float32(regression.KNOWLEDGE / factors)
        total = self._observed + len(anchor_vec)
        place = np.arange(1.0, total + 1)
        timed = place <= history
        aside = ~timed
        drift = regression.DRIFT * np.exp(-np.abs(place[:, None] - place) / regression.DRIFT_LENGTH)
        level = regression.LEVEL + drift * (timed[:, None] & timed)
        level += regression.ANCHOR_LEVEL * (aside[:, None] & aside)
        level[self._observed :, self._observed :] += self.scale * anchor_vec @ anchor_vec.T
        level[self._observed :, self._observed :] += anchor_taste @ anchor_taste.T
        self._level: Floats = level.astype(np.float32)
        self.now: Floats = (
            regression.LEVEL + regression.DRIFT * np.exp(-place / regression.DRIFT_LENGTH) * timed
        ).astype(np.float32)
        self._noise = np.full(total, regression.ANCHOR_NOISE, np.float32)
        self._noise[: self._observed], self._noise[:history] = regression.EXPECTED_NOISE, regression.NOISE

    def solve(self, surprise: Floats, present: Bools, vec: Floats, taste: Floats) -> tuple[Floats, Floats, Floats]:
        """How each of `GUESSES` follows from a candidate: a number f32[5] that all candidates share, ...

        ... products with its vector f32[3, F * d] (`TOLD`), and products with its taste f32[3, r] (`SHARED`).
        `surprise` f32[K] and `present` bool[K] of all that is observed; `vec` f32[H + 2, F * d] and `taste`
        f32[H + 2, r] of what is not an anchor.
        """
        history, observed = self._history, self._observed
        vec, taste = np.concatenate([vec, self._anchor_vec]), np.concatenate([taste, self._anchor_taste])
        told = (vec[:observed] * self.scale) @ vec.T
        shared = taste[:observed] @ taste.T
        everything = self._level.copy()
        everything.ravel()[:: len(everything) + 1] += np.where(present, self._noise, _ABSENT)
        own = np.empty((len(_OWN), history, history), np.float32)
        own[:] = everything[:history, :history]
        own[1:3] += told[:, :history][:history]
        own[2:] += shared[:, :history][:history]
        told += shared
        everything[:observed] += told
        everything[observed:, :observed] += told[:, observed:].T

        surprise = np.where(present, surprise, np.float32(0))
        weight = np.zeros((len(GUESSES), len(surprise)), np.float32)
        weight[_OWN, :history] = _solve(own, surprise[None, :history, None])[..., 0]
        weight[_ANCHORED] = _solve(everything, surprise[:, None])[:, 0]
        return weight @ self.now, (weight[TOLD] @ vec) * self.scale, weight[SHARED] @ taste


def _solve(covariance: Floats, surprise: Floats) -> Floats:
    try:
        found: Floats = np.linalg.solve(covariance, surprise)
    except np.linalg.LinAlgError:  # only where numbers overflowed: noise makes covariances positive definite
        found = np.full(np.broadcast_shapes((*covariance.shape[:-1], 1), surprise.shape), np.nan, np.float32)
    return found
