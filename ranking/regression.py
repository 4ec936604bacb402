"""Gaussian-process regression on a user's own values: what the best linear guess at a candidate's value is.

A value is a level of the user, plus what is usual for the item, plus a taste that items alike share, plus noise. Given
the covariances, the guess is the posterior mean (Rasmussen and Williams, Gaussian Processes for Machine Learning,
equation 2.25); of collaborative filtering it is the linear-Gaussian model of Salakhutdinov and Mnih (2008) with fixed
item factors. Ours: that knowledge texts give one of the covariances, and that an LLM's anchor values are further,
noisier observations. The solve is once per user, whatever the number of candidates. torch alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Variances in squared stars, chosen on validation users (docs/results/ideas.md).
LEVEL = 0.3  # of a user's own level
DRIFT, DRIFT_LENGTH = 0.1, 5.0  # of the level's drift, and the events after which it is mostly another one
ANCHOR_LEVEL = 0.1  # of the level that an LLM's values have of their own
KNOWLEDGE = 0.3  # of the taste that texts tell
NOISE = 1.2  # of a value
ANCHOR_NOISE = 2.5  # of an LLM's anchor value
EXPECTED_SURPRISE = (1.0, -1.0)  # stars above the usual that an LLM means by an expected like, by a dislike
EXPECTED_NOISE = 0.3  # of the mean of them
_ABSENT = 1e4  # noise of what is not there


@dataclass(frozen=True)
class Observed:
    """What is known of B users: K values each."""

    surprise: Tensor  # [B, K] values minus what is usual; 0 where absent
    noise: Tensor  # [B, K] variances
    place: Tensor  # [K] events before the candidate, from 1; infinite for what has no place in time

    @classmethod
    def values(cls, surprise: Tensor, present: Tensor) -> "Observed":
        """A history, newest first."""
        place = torch.arange(1, surprise.shape[1] + 1, dtype=surprise.dtype, device=surprise.device)
        return cls(surprise * present, _noise(present, NOISE, surprise), place)

    def and_said(self, surprise: Tensor, present: Tensor, noise: float) -> "Observed":
        """The same with what an LLM expects behind it: it has no place in time."""
        place = torch.full(surprise.shape[1:], torch.inf, dtype=surprise.dtype, device=surprise.device)
        return Observed(
            torch.cat([self.surprise, surprise * present], dim=1),
            torch.cat([self.noise, _noise(present, noise, surprise)], dim=1),
            torch.cat([self.place, place]),
        )


def likeness(own: Tensor, anchors: Tensor, candidates: Tensor, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Linear covariances of own items [B, K, r] and anchors [A, r], in this order, times `scale`.

    Among each other [B, K + A, K + A], and with the candidates [B, N, r]: [B, N, K + A].
    """
    near = torch.bmm(own, own.transpose(1, 2))
    now = torch.bmm(candidates, own.transpose(1, 2))
    if len(anchors):
        # Anchors are the same for everybody: plain products, and one block for all.
        across = own @ anchors.T
        block = (anchors @ anchors.T).expand(len(own), -1, -1)
        near = torch.cat([torch.cat([near, across], 2), torch.cat([across.transpose(1, 2), block], 2)], 1)
        now = torch.cat([now, candidates @ anchors.T], 2)
    return near * scale, now * scale


def posterior(observed: Observed, among: Tensor, between: Tensor) -> Tensor:
    """Guess at the candidates' surprises [B, N] from covariances of tastes, [B, K, K] and [B, N, K]."""
    level, now = _level(observed.place)
    covariance = among + level
    covariance.diagonal(dim1=1, dim2=2).add_(observed.noise)
    weights = torch.cholesky_solve(observed.surprise.unsqueeze(-1), torch.linalg.cholesky(covariance))
    guess: Tensor = ((between + now) @ weights).squeeze(-1)
    return guess


def _level(place: Tensor) -> tuple[Tensor, Tensor]:
    """Covariances of levels among the observed [K, K], and with the candidate [K]."""
    timed = torch.isfinite(place)
    steps = torch.where(timed, place, torch.zeros_like(place))
    both, neither = timed.unsqueeze(1) & timed, ~timed.unsqueeze(1) & ~timed
    among = DRIFT * torch.exp(-(steps.unsqueeze(1) - steps).abs() / DRIFT_LENGTH) * both
    return LEVEL + among + ANCHOR_LEVEL * neither, LEVEL + DRIFT * torch.exp(-steps / DRIFT_LENGTH) * timed


def _noise(present: Tensor, noise: float, like: Tensor) -> Tensor:
    return torch.where(present, torch.full_like(like, noise), torch.full_like(like, _ABSENT))
