"""Read your writes: wait until a published event has its effect, and learn what effect that was."""

import time
from dataclasses import dataclass
from enum import StrEnum

import redis

from feature_repo.keys import Keys
from knowledge.base import TerminalError, TransientError
from streams.redis_calls import connect, redis_errors
from streams.state import UserState
from streams.store import StateStore
from streams.tokens import BehaviorToken
from streams.topics import TopicNames

_FIRST_WAIT_S, _LAST_WAIT_S = 0.001, 0.05
# How long to wait when nobody says: new knowledge waits for the end of a burst and for an LLM.
_TIMEOUT_S, _INDIVIDUAL_TIMEOUT_S = 10.0, 300.0


class Tier(StrEnum):
    """How far an event must have come."""

    HISTORY = "history"
    """The user's history row shows it."""
    EXPERIENCED = "experienced"
    """The user's experienced vectors count it."""
    INDIVIDUAL = "individual"
    """New knowledge has seen it, or the policy has said that the user did not change enough."""


@dataclass(frozen=True)
class Applied:
    """The event counts, as the user's `rev`-th, and the tier's row has seen it."""

    rev: int
    waited_s: float


@dataclass(frozen=True)
class NotChanged:
    """Tier individual: the event counts, and there will be no new knowledge for it."""

    reason: str
    rev: int = 0


@dataclass(frozen=True)
class Rejected:
    """The event does not count: a dead letter's reason, `duplicate`, or `forgotten`."""

    reason: str


class NotAppliedInTimeError(TransientError, TimeoutError):
    """Reason `timeout`: nothing is lost, ask again or look at the worker's /health."""


class AppliedWaiter:
    """Waits for tokens over one Redis connection; use it where many are awaited."""

    def __init__(self, client: redis.Redis, namespace: str = "reki") -> None:
        self._redis = client
        self._namespace = namespace
        self._keys = Keys(namespace)
        self._store = StateStore(client, self._keys, ring_size=1)  # reads only
        self._topic_ids_key = TopicNames(namespace).topic_ids_key
        self._behavior = TopicNames(namespace).behavior

    def wait(
        self, token: BehaviorToken, tier: Tier | str = Tier.HISTORY, timeout_s: float | None = None
    ) -> Applied | NotChanged | Rejected:
        """Wait for one token; see `await_applied`."""
        tier = _checked(token, tier)
        if timeout_s is None:
            timeout_s = _INDIVIDUAL_TIMEOUT_S if tier is Tier.INDIVIDUAL else _TIMEOUT_S
        began = time.monotonic()
        wait_s = _FIRST_WAIT_S
        while True:
            answer = self._look(token, tier)
            waited_s = time.monotonic() - began
            if isinstance(answer, int):
                return Applied(answer, waited_s)
            if answer is not None:
                return answer
            if waited_s >= timeout_s:
                what = (
                    f"event {token.event_id} of user {token.user_id} did not reach tier {tier} in {timeout_s:g} s"
                    if token.event_id
                    else f"the wish to forget user {token.user_id} was not fulfilled in {timeout_s:g} s"
                )
                raise NotAppliedInTimeError(
                    "timeout",
                    f"{what}; it is not lost, a stream worker takes it up when one runs (`reki up --stores` starts "
                    "none): see /health of the workers (`reki settings stream_health_port`), then wait again",
                )
            time.sleep(min(wait_s, max(0.0, timeout_s - waited_s)))
            if waited_s > 0.05:
                wait_s = min(wait_s * 1.5, _LAST_WAIT_S)

    def _look(self, token: BehaviorToken, tier: Tier) -> int | NotChanged | Rejected | None:
        topic_id = token.topic_id or self._topic_id()
        place = f"{topic_id}:{token.partition}"
        state_key = self._keys.state_key(token.user_id)
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hget(state_key, f"o:{place}")  # type: ignore[arg-type]  # redis-py takes bytes too
            pipe.get(f"{self._namespace}:reject:{place}:{token.offset}")
            handled, rejected = pipe.execute()
        if rejected is not None:
            return Rejected(rejected.decode())
        if handled is None or int(handled) < token.offset:
            return None
        state = self._store.read(token.user_id)
        if state is None:
            return None
        if not token.event_id:
            return None if state.forgotten and not state.gone else 0
        entry = state.find(token.event_id)
        if entry is None:
            if state.forgotten or not any(e.offset > token.offset for e in state.ring):
                return Rejected("forgotten")
            rev = state.ring[0].rev - 1  # it has left the ring already: at least N newer events count
        elif entry.offset != token.offset:
            return Rejected("duplicate")
        else:
            rev = entry.rev
        return self._look_tier(token.user_id, state, rev, tier)

    def _look_tier(self, user_id: str, state: UserState, rev: int, tier: Tier) -> int | NotChanged | None:
        with redis_errors():
            slot = self._redis.get(f"{self._namespace}:active_slot") or b"blue"
            view = {
                Tier.HISTORY: "user_history",
                Tier.EXPERIENCED: f"user_experienced_{slot.decode()}",  # type: ignore[union-attr]
                Tier.INDIVIDUAL: f"user_expected_{slot.decode()}",  # type: ignore[union-attr]
            }[tier]
            seen = self._redis.hget(self._keys.row_key("user", user_id), Keys.rev_field(view))  # type: ignore[arg-type]
        if seen is not None and int(seen) >= rev:  # type: ignore[arg-type]
            return rev
        if tier is Tier.INDIVIDUAL:
            outcome, decision = state.refresh_outcome or {}, state.decision or {}
            if outcome.get("source_rev", -1) >= rev:
                return NotChanged(str(outcome.get("reason")), rev)
            if decision.get("rev", -1) >= rev and not decision.get("due"):
                return NotChanged(str(decision.get("reason")), rev)
        return None

    def _topic_id(self) -> str:
        with redis_errors():
            found = self._redis.hget(self._topic_ids_key, self._behavior)
        return found.decode() if isinstance(found, bytes) else ""


def await_applied(
    token: BehaviorToken,
    tier: Tier | str = Tier.HISTORY,
    timeout_s: float | None = None,
    *,
    redis_url: str = "redis://127.0.0.1:6379/0",
    namespace: str = "reki",
) -> Applied | NotChanged | Rejected:
    """Wait until the event behind `token` has come to `tier`; opens a connection per call (see `AppliedWaiter`).

    Without `timeout_s` it waits 10 s, for tier `individual` 300 s: that one waits for the end of a burst and an LLM.
    Raises `NotAppliedInTimeError` (a `TimeoutError`, reason `timeout`) after `timeout_s` seconds, `TransientError`
    (`redis_unavailable`), and at once `TerminalError` (`bad_token`, `bad_tier`, `bad_redis_url`).
    """
    tier = _checked(token, tier)
    try:
        client = connect(redis_url)
    except (ValueError, TypeError, AttributeError) as error:  # what redis-py makes of an address that is none
        raise TerminalError(
            "bad_redis_url", f"redis_url is no Redis address ({error}): it looks like redis://127.0.0.1:6379/0"
        ) from error
    try:
        return AppliedWaiter(client, namespace).wait(token, tier, timeout_s)
    except redis.exceptions.ResponseError as error:  # a database number that the server does not have
        raise TerminalError("bad_redis_url", f"the Redis at redis_url refuses to answer: {error}") from error
    finally:
        client.close()


def _checked(token: object, tier: Tier | str) -> Tier:
    if not isinstance(token, BehaviorToken):
        raise TerminalError(
            "bad_token", f"token is a {type(token).__name__}: give the BehaviorToken that `publish` returned"
        )
    try:
        return Tier(tier)
    except ValueError as error:
        raise TerminalError("bad_tier", f"there is no tier {tier!r}: use one of {[str(t) for t in Tier]}") from error
