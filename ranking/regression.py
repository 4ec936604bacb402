"""Gaussian-process regression on a user's own values: what the best linear guess at a candidate's value is.

A value is a level of the user, plus what is usual for the item, plus a taste that items alike share, plus noise. Given
the covariances, the guess is the posterior mean (Rasmussen and Williams, Gaussian Processes for Machine Learning,
equation 2.25); of collaborative filtering it is the linear-Gaussian model of Salakhutdinov and Mnih (2008) with fixed
item factors. Ours: that knowledge texts give one of the covariances, and that an LLM's anchor values are further,
noisier observations. The solve is once per user, whatever the number of candidates: a candidate's covariances with
the observed are linear in its vectors, so they are summed into one vector per regression and never formed. torch alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as fn

# Variances in squared stars, chosen on validation users (docs/results/ideas.md).
LEVEL = 0.3  # of a user's own level
DRIFT, DRIFT_LENGTH = 0.1, 5.0  # of the level's drift, and the events after which it is mostly another one
ANCHOR_LEVEL = 0.1  # of the level that an LLM's values have of their own
KNOWLEDGE = 0.3  # of the taste that texts tell
NOISE = 1.2  # of a value
ANCHOR_NOISE = 2.5  # of an LLM's anchor value
_EXPECTED_SURPRISE = (1.0, -1.0)  # stars above the usual that an LLM means by an expected like, by a dislike
EXPECTED_NOISE = 0.3  # of the mean of them
_ABSENT = 1e4  # noise of what is not there

# Regression -> in which spaces tastes are alike (by texts, by training users), and whether an LLM's expectations count.
REGRESSIONS: dict[str, tuple[tuple[str, ...], bool]] = {
    "level": ((), False),
    "taste_knowledge": (("told",), False),
    "taste_collaborative": (("shared",), False),
    "taste": (("told", "shared"), False),
    "anchored_knowledge": (("told",), True),
    "anchored": (("told", "shared"), True),
}


@dataclass(frozen=True)
class Observed:
    """What is known of B users: K values, of which the first `history` are in order of time, newest first.

    Behind them come `expected` means of what an LLM expects, and its anchor values; or neither.
    """

    surprise: Tensor  # f32[B, K] values minus what is usual
    present: Tensor  # bool[B, K]
    history: int
    expected: int = 0


@dataclass(frozen=True)
class Space:
    """Where items lie, such that products times `scale` are the covariances of tastes; r numbers each."""

    observed: Tensor  # f32[B, K, r]
    candidates: Tensor  # f32[B, N, r]
    scale: float = 1.0


@lru_cache(maxsize=8)
def expected_surprise(device: torch.device) -> Tensor:
    """Stars above the usual, f32[1, 2], that an LLM means by an expected like and by an expected dislike."""
    with torch.inference_mode(False):
        return torch.tensor([_EXPECTED_SURPRISE], device=device)


def needs(names: Sequence[str]) -> tuple[bool, bool, bool]:
    """What these regressions compare or count: tastes by texts, by training users, and what an LLM expects."""
    kinds = {kind for name in names for kind in REGRESSIONS[name][0]}
    return "told" in kinds, "shared" in kinds, any(REGRESSIONS[name][1] for name in names)


def guesses(names: Sequence[str], observed: Observed, spaces: Mapping[str, Space], count: int) -> dict[str, Tensor]:
    """Guesses at the surprises of N = `count` candidates by each of the regressions `names`, f32[B, N, 1].

    `spaces` holds those in which `names` compare, and no other.
    """
    names = tuple(sorted(names, key=lambda name: REGRESSIONS[name][1]))  # those with an LLM's expectations last
    history, total = observed.history, observed.surprise.shape[1]
    constants = _constants(names, history, observed.expected, total, observed.surprise.device)
    surprise = observed.surprise * observed.present
    among: dict[tuple[str, ...], Tensor] = {
        (): constants.level + torch.diag_embed(torch.where(observed.present, constants.noise, _ABSENT))
    }
    own: list[Tensor] = []
    all_of_it: list[Tensor] = []
    for name in names:
        kind, said = REGRESSIONS[name]
        (all_of_it if said else own).append(_covariance(among, kind, spaces))
    weights = []  # of the observed, [B, regressions, K]
    if own:
        small = torch.stack([covariance[:, :history, :history] for covariance in own], dim=1)
        weights.append(fn.pad(_solve(small, surprise[:, :history]), (0, total - history)))
    if all_of_it:
        weights.append(_solve(torch.stack(all_of_it, dim=1), surprise))
    weight = torch.cat(weights, dim=1)

    guess = torch.matmul(weight, constants.now).unsqueeze(1).expand(-1, count, -1)
    for name, space in spaces.items():
        toward = torch.bmm(weight, space.observed) * constants.compares[name]  # [B, regressions, r]
        guess = torch.baddbmm(guess, space.candidates, toward.transpose(1, 2), alpha=space.scale)
    return dict(zip(names, torch.split(guess, 1, dim=-1), strict=True))


def _covariance(among: dict[tuple[str, ...], Tensor], kind: tuple[str, ...], spaces: Mapping[str, Space]) -> Tensor:
    """Covariances [B, K, K] of values whose tastes are alike in the spaces `kind`, kept in `among`."""
    if kind not in among:
        less, space = _covariance(among, kind[:-1], spaces), spaces[kind[-1]]
        among[kind] = torch.baddbmm(less, space.observed, space.observed.transpose(1, 2), alpha=space.scale)
    return among[kind]


def _solve(covariance: Tensor, surprise: Tensor) -> Tensor:
    """Weights [B, S, K] of the observed [B, K] under each of S covariances [B, S, K, K]."""
    # Noise makes them positive definite. What is not finite stays so in the user's own guesses, and hurts nobody else.
    factor = torch.linalg.cholesky_ex(covariance).L
    return torch.cholesky_solve(surprise[:, None, :, None], factor).squeeze(-1)


@dataclass(frozen=True)
class _Constants:
    level: Tensor  # [K, K] covariances of levels among the observed
    now: Tensor  # [K] and with the candidate
    noise: Tensor  # [K] variances of what is there
    compares: Mapping[str, Tensor]  # space -> [S, 1] whether each regression compares in it


@lru_cache(maxsize=64)
def _constants(names: tuple[str, ...], history: int, expected: int, total: int, device: torch.device) -> _Constants:
    """What depends on sizes alone. Made outside of inference mode: it is used inside and outside."""
    with torch.inference_mode(False), torch.no_grad():
        place = torch.arange(1.0, total + 1, device=device)
        timed = place <= history
        both, neither = timed.unsqueeze(1) & timed, ~timed.unsqueeze(1) & ~timed
        drift = DRIFT * torch.exp(-(place.unsqueeze(1) - place).abs() / DRIFT_LENGTH) * both
        noise = torch.full((total,), ANCHOR_NOISE, device=device)
        noise[: history + expected], noise[:history] = EXPECTED_NOISE, NOISE
        compares = {
            space: torch.tensor([[float(space in REGRESSIONS[name][0])] for name in names], device=device)
            for space in ("told", "shared")
        }
        return _Constants(
            LEVEL + drift + ANCHOR_LEVEL * neither,
            LEVEL + DRIFT * torch.exp(-place / DRIFT_LENGTH) * timed,
            noise,
            compares,
        )
