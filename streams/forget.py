"""Forgetting a user (windows E10 and R6): stub first, then everything that was written, then once more later."""

import logging
import time
from collections.abc import Callable, Sequence

import redis

from feature_repo.writer import FeatureWriter
from streams.due import DueSet
from streams.faults import Faults
from streams.redis_calls import redis_errors
from streams.settings import StreamSettings
from streams.state import ForgetArrival
from streams.store import StateStore

log = logging.getLogger(__name__)
_DAY_S = 86_400.0


class Forgetting:
    """Sync; one caller thread. `erase` deletes cached LLM answers by their prompt hashes (None: they stay named)."""

    def __init__(
        self,
        client: redis.Redis,
        namespace: str,
        store: StateStore,
        writer: FeatureWriter,
        due: DueSet,
        settings: StreamSettings,
        erase: Callable[[Sequence[str]], None] | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._redis = client
        self._again_key = f"{namespace}:forget_again"
        self._store = store
        self._writer = writer
        self._due = due
        self._erase = erase
        self._faults = faults or Faults()
        self._stub_ttl_s = settings.behavior_retention_s + _DAY_S
        # Longest time for which somebody may hold a row of the old life: one request, tried to its deadline.
        self._second_after_s = settings.refresh_deadline_s + 60.0

    def forget(self, arrival: ForgetArrival) -> bool:
        """Forget; True unless a replayed record asks for what the user's later records have overtaken.

        The stub (epoch + 1) comes first: from then on every write that carries the old epoch is refused. Raises
        `TransientError`; the same record does the rest when it comes again.
        """
        result = self._store.forget(arrival, self._stub_ttl_s)
        if result.verdicts[0].reason == "replayed":
            return False
        self._faults.hit("E10")
        state = result.state
        self._writer.delete_entity("user", state.user_id)
        self._due.forget(state.user_id)
        with redis_errors():
            self._redis.zadd(self._again_key, {f"{state.epoch}:{state.user_id}": time.time() + self._second_after_s})
        if self._erase is not None and state.prompt_hashes:
            self._erase(state.prompt_hashes)
        self._store.finish_forgetting(state.user_id, state.epoch, erased=self._erase is not None)
        log.info("forgot a user (epoch %d begins)", state.epoch)
        return True

    def again(self, limit: int = 100) -> int:
        """The second deletion of those whose time has come: rows of earlier lives that were written late. How many."""
        with redis_errors():
            waiting = self._redis.zrangebyscore(self._again_key, "-inf", time.time(), start=0, num=limit)
        for member in waiting:  # type: ignore[union-attr]
            epoch, _, user_id = member.decode().partition(":")
            self._writer.delete_entity("user", user_id, below_epoch=int(epoch))
            with redis_errors():
                self._redis.zrem(self._again_key, member)
        return len(waiting)  # type: ignore[arg-type]
