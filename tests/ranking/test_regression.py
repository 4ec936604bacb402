"""The regression against its textbook formula, entry by entry, and that it learns what a user says."""

import numpy as np
import pytest
import torch

from ranking import regression
from ranking.regression import Observed, likeness, posterior

B, K, A, N, R = 2, 5, 3, 4, 6


@pytest.fixture
def drawn():
    torch.manual_seed(1)
    return {
        "own": torch.randn(B, K, R) / 3,
        "anchors": torch.randn(A, R) / 3,
        "candidates": torch.randn(B, N, R) / 3,
        "surprise": torch.randn(B, K),
        "said": torch.randn(B, A),
        "present": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool),
        "answered": torch.tensor([[1, 0, 1], [1, 1, 1]], dtype=torch.bool),
    }


def by_hand(drawn, user, candidate):
    """Equation 2.25 of Rasmussen and Williams over what is there alone, in numpy."""
    seen = [
        (drawn["own"][user, k], float(drawn["surprise"][user, k]), regression.NOISE, k + 1)
        for k in range(K)
        if drawn["present"][user, k]
    ]
    seen += [
        (drawn["anchors"][a], float(drawn["said"][user, a]), regression.ANCHOR_NOISE, None)
        for a in range(A)
        if drawn["answered"][user, a]
    ]

    def covariance(one, other):
        (x, at), (y, then) = one, other
        value = 0.5 * float(x @ y) + regression.LEVEL
        if at is None and then is None:
            value += regression.ANCHOR_LEVEL
        if at is not None and then is not None:
            value += regression.DRIFT * np.exp(-abs(at - then) / regression.DRIFT_LENGTH)
        return value

    matrix = np.array([[covariance((x[0], x[3]), (y[0], y[3])) for y in seen] for x in seen])
    matrix += np.diag([x[2] for x in seen])
    place = (drawn["candidates"][user, candidate], 0)
    return np.array([covariance((x[0], x[3]), place) for x in seen]) @ np.linalg.solve(matrix, [x[1] for x in seen])


def test_the_guess_is_the_textbooks_and_what_is_absent_does_not_count(drawn):
    observed = Observed.values(drawn["surprise"], drawn["present"])
    observed = observed.and_said(drawn["said"], drawn["answered"], regression.ANCHOR_NOISE)
    guess = posterior(observed, *likeness(drawn["own"], drawn["anchors"], drawn["candidates"], 0.5))
    assert guess.shape == (B, N)
    wanted = [[by_hand(drawn, user, candidate) for candidate in range(N)] for user in range(B)]
    np.testing.assert_allclose(guess, wanted, rtol=2e-3, atol=2e-4)


def test_a_user_of_whom_nothing_is_known_is_guessed_at_the_usual():
    observed = Observed.values(torch.zeros(1, K), torch.zeros(1, K, dtype=torch.bool))
    guess = posterior(observed, *likeness(torch.zeros(1, K, R), torch.zeros(0, R), torch.randn(1, N, R)))
    assert torch.equal(guess, torch.zeros(1, N))


def test_the_newest_values_say_most_about_the_level():
    present = torch.ones(2, K, dtype=torch.bool)
    surprise = torch.zeros(2, K)
    surprise[0, 0] = surprise[1, K - 1] = 1.0  # the newest, the oldest
    nothing = torch.zeros(2, 1, 1)
    newest, oldest = posterior(Observed.values(surprise, present), nothing, nothing)
    assert newest > oldest > 0
