"""Who takes part in the demo, and with what: a pure function of the data, the same at every run.

Users are taken in the order of their ids, not by how well they come out.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

EVENTS_TO_CHANGE = 10  # the demo's refresh_min_events, and where the recorded refreshes stand
RECORDED_USERS = 12
UNCHANGED_USERS = 6
LIVE_USERS = 2
CANDIDATES = 100
TOP = 10
# The writer of the recorded refreshes had glimpsed later ratings of these users (README of the recorded knowledge).
_NOT_BLIND = frozenset({"2", "5", "11", "15", "16", "42"})
_LATER_AT_MOST = 20  # of the candidates: films that the user really went on to rate
_LATER_AT_LEAST = 6


class Role(StrEnum):
    """What a visitor shows."""

    RECORDED = "recorded"  # changes; knowledge written beforehand by a large model, from the same events
    UNCHANGED = "unchanged"  # has events, but too few to count as changed
    LIVE = "live"  # changes; the embedded LLM is asked


@dataclass(frozen=True)
class Rated:
    """One real rating. `value`: 1 to 5 stars; `at`: when it was given, UTC."""

    item_id: str
    value: float
    at: datetime


@dataclass(frozen=True)
class Visitor:
    """One user of the demo. `history` is loaded, `replay` is published, `later` is what really came after."""

    user_id: str
    role: Role
    history: tuple[Rated, ...]
    replay: tuple[Rated, ...]
    later: tuple[Rated, ...]
    candidates: tuple[str, ...]

    @property
    def liked_later(self) -> frozenset[str]:
        """Candidates that the person really went on to like (more than 3 stars)."""
        return frozenset(rated.item_id for rated in self.later if rated.value > 3) & frozenset(self.candidates)


@dataclass(frozen=True)
class Plan:
    """All visitors of one run."""

    visitors: tuple[Visitor, ...]

    @property
    def events(self) -> int:
        """How many events the demo publishes."""
        return sum(len(visitor.replay) for visitor in self.visitors)

    def of(self, role: Role) -> tuple[Visitor, ...]:
        """The visitors with this role."""
        return tuple(visitor for visitor in self.visitors if visitor.role is role)


def live_users(train_users: Sequence[str], later: Mapping[str, int], with_refreshes: frozenset[str]) -> list[str]:
    """The users whom the embedded LLM will refresh: the last training users who have enough later ratings.

    Every other user with enough ratings has recorded refreshes. They are kept out of the demo's training.
    """
    fit = [u for u in sorted(train_users, key=int) if later[u] >= 3 * EVENTS_TO_CHANGE and u not in with_refreshes]
    return fit[-LIVE_USERS:]


def make_plan(
    ratings: Mapping[str, Sequence[Rated]],
    history_length: Mapping[str, int],
    test_users: Sequence[str],
    live: Sequence[str],
    refreshed_at: Mapping[str, frozenset[int]],
    catalogue: Sequence[str],
    seed: int = 7,
) -> Plan:
    """Choose the visitors.

    `ratings`: per user in order of (time, item id); `history_length`: how many of them the knowledge in force has
    seen; `refreshed_at`: per user, after how many ratings a recorded refresh exists; `catalogue`: all item ids.
    """

    def later(user: str) -> Sequence[Rated]:
        return ratings[user][history_length[user] :]

    tests = [user for user in sorted(test_users, key=int) if user not in _NOT_BLIND]
    changing = [
        user
        for user in tests
        if history_length[user] + EVENTS_TO_CHANGE in refreshed_at.get(user, frozenset())
        and len(later(user)) >= EVENTS_TO_CHANGE + _LATER_AT_LEAST
    ][:RECORDED_USERS]
    steady = [u for u in tests if u not in changing and len(later(u)) >= EVENTS_TO_CHANGE][:UNCHANGED_USERS]
    roles = [(user, Role.RECORDED, EVENTS_TO_CHANGE) for user in changing]
    roles += [(user, Role.UNCHANGED, 2 + index) for index, user in enumerate(steady)]
    roles += [(user, Role.LIVE, EVENTS_TO_CHANGE) for user in live]
    visitors = []
    for user, role, count in roles:
        after = tuple(later(user)[count:])
        seen = {rated.item_id for rated in ratings[user]}
        visitors.append(
            Visitor(
                user_id=user,
                role=role,
                history=tuple(ratings[user][: history_length[user]]),
                replay=tuple(later(user)[:count]),
                later=after,
                candidates=_candidates(user, after, [item for item in catalogue if item not in seen], seed),
            )
        )
    return Plan(tuple(visitors))


def _candidates(user: str, later: Sequence[Rated], untouched: Sequence[str], seed: int) -> tuple[str, ...]:
    """Films that the user rated later, filled up to 100 with films that they never rated, in a seeded order."""
    chance = random.Random(f"{seed}:{user}")  # noqa: S311 - a repeatable choice, not a secret
    ids = list(dict.fromkeys(rated.item_id for rated in later[:_LATER_AT_MOST]))
    ids += chance.sample(list(untouched), CANDIDATES - len(ids))
    chance.shuffle(ids)
    return tuple(ids)
