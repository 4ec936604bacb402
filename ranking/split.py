"""Which ratings are history, which are samples, and which users train, validate and test (KAR's protocol, by user)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_HISTORY = 30  # ratings that the LLM may see before its first answer
SPLIT_SEED = 1234


@dataclass(frozen=True)
class UserSplit:
    """User ids of the three parts, disjoint."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]


def history_length(count: int) -> int:
    """How many of a user's `count` earliest ratings are history: the LLM sees them, they are never targets."""
    return min((count + 1) // 2, MAX_HISTORY)


def split_users(users: Sequence[str], seed: int = SPLIT_SEED) -> UserSplit:
    """Users 8:1:1 into train, validation and test.

    `users` in the order of their numbers: the draw must be the one by which the recorded refreshes were written
    (they exist for the users of validation and test only), so the legacy generator stays.
    """
    order = np.random.RandomState(seed).permutation(len(users))
    shuffled = [users[i] for i in order]
    first, second = int(0.8 * len(users)), int(0.9 * len(users))
    return UserSplit(tuple(shuffled[:first]), tuple(shuffled[first:second]), tuple(shuffled[second:]))
