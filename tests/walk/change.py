"""A user changes: what was served before, in between and afterwards."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from serving.client import Recommendation
from streams.await_applied import Applied, NotChanged, Rejected, Tier
from streams.tokens import BehaviorToken
from tests.walk.cast import ENOUGH
from tests.walk.world import World


@dataclass(frozen=True)
class Begun:
    """`ENOUGH` events of a user count in the experienced tier; new knowledge is being made."""

    user_id: str
    loaded: int  # events that the old knowledge has seen
    token: BehaviorToken  # of the last event
    before: Recommendation
    experienced: Recommendation
    at: datetime  # before the events


@dataclass(frozen=True)
class Changed(Begun):
    """... and has been made. `knowledge`, `prompt_hashes`: as stored then, for a later test may forget the user."""

    outcome: Applied | NotChanged | Rejected
    after: Recommendation
    done_at: datetime
    knowledge: dict[str, Any]
    prompt_hashes: tuple[str, ...]


def begin(world: World, user_id: str) -> Begun:
    """Ask Triton, publish the events, ask again."""
    before, at = world.recommend(user_id), datetime.now(UTC)
    token = world.publish(*world.cast.later(user_id, ENOUGH))[-1]
    return Begun(user_id, world.cast.loaded(user_id), token, before, world.recommend(user_id), at)


def finish(world: World, begun: Begun, timeout_s: float) -> Changed:
    """Wait for the knowledge."""
    outcome = world.waiter.wait(begun.token, Tier.INDIVIDUAL, timeout_s)
    # The rows are readable a moment before the state names what they came from.
    world.until_noted(begun.user_id, begun.loaded + ENOUGH)
    return Changed(
        **vars(begun),
        outcome=outcome,
        after=world.recommend(begun.user_id),
        done_at=datetime.now(UTC),
        knowledge=world.read("user_knowledge", begun.user_id) or {},
        prompt_hashes=world.states.read(begun.user_id).prompt_hashes,
    )
