"""`StateStore`: user state in Redis by single Lua calls. Sync; one caller thread."""

from collections.abc import Mapping, Sequence
from typing import Any

import redis

from streams.state import Arrival, ForgetArrival, RingEntry, UserResult, UserState


class StateStore:
    """One hash per user, key `{<Feast entity key bytes>}:state`. Redis trouble raises `TransientError`."""

    def __init__(self, client: redis.Redis, keys: Any, ring_size: int) -> None:  # noqa: ANN401
        self._redis = client
        self._keys = keys
        self._ring_size = ring_size

    def apply(self, arrivals: Sequence[Arrival]) -> list[UserResult]:
        """Apply events in order; one result per user, in the order of first appearance. Idempotent."""
        raise NotImplementedError

    def forget(self, arrival: ForgetArrival, ttl_s: float) -> UserResult:
        """Replace the state by a stub {epoch + 1, offsets} that expires; the verdict says whether it was new."""
        raise NotImplementedError

    def read(self, user_id: str) -> UserState | None:
        """The state, or None."""
        return self.read_many([user_id])[0]

    def read_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        """One pipelined round trip."""
        raise NotImplementedError

    def seed(self, user_id: str, entries: Sequence[RingEntry], profile: Mapping[str, str]) -> UserState | None:
        """Load a history (not published; offsets -1, rev = 1..n). None = the user has a state already: untouched."""
        raise NotImplementedError

    def restore(self, state: UserState) -> bool:
        """Write a state as it stands (rebuild from the offline row). False = a state of a higher (epoch, rev) is there."""
        raise NotImplementedError

    def update(self, user_id: str, epoch: int, **fields: Any) -> bool:  # noqa: ANN401
        """Set fields of `UserState` beside the behaviour: requested_rev, requested_at, refreshed_rev, refreshed_at,
        generation, decision, refresh_outcome, profile; `prompt_hashes` are appended.

        Refused (False) when the state's epoch is another (forgotten meanwhile) or there is none. `*_rev`, `*_at` and
        `generation` never go down; `decision` (by its `rev`) and `refresh_outcome` (by its `source_rev`) likewise.
        """
        return self.update_many([(user_id, epoch, fields)])[0]

    def update_many(self, updates: Sequence[tuple[str, int, Mapping[str, Any]]]) -> list[bool]:
        """Several users' `update`s in one round trip."""
        raise NotImplementedError
