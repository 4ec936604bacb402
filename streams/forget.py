"""Forgetting a user (windows E10 and R6): stub first, then everything that was written, then once more later."""

import logging
import time
import uuid
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
Erase = Callable[[str, Sequence[str]], object]  # (user id, prompt hashes that the state names)
_DAY_S = 86_400.0
_DELETE_IF_EQUAL = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class LateRows:
    """The second deletion: rows of an earlier life that a writer still held when the user was forgotten.

    Any process may run it; `delete(user_id, epoch)` removes the offline rows below that epoch. Deleted rows stay in the
    files until a compaction takes them out, so each deletion leaves a wish to purge.
    """

    def __init__(self, client: redis.Redis, namespace: str, delete: Callable[[str, int], None]) -> None:
        self._redis = client
        self._waiting_key = f"{namespace}:forget_again"
        self._purge_key = f"{namespace}:purge_wanted"
        self._delete = delete
        self._fulfilled = client.register_script(_DELETE_IF_EQUAL)

    def expect(self, user_id: str, epoch: int, after_s: float) -> None:
        """Delete once more what stands below `epoch`, when `after_s` seconds have passed."""
        with redis_errors():
            self._redis.zadd(self._waiting_key, {f"{epoch}:{user_id}": time.time() + after_s})

    def delete(self, limit: int = 100) -> int:
        """Delete the rows of those whose time has come (at most `limit`); how many users that were."""
        with redis_errors():
            waiting = self._redis.zrangebyscore(self._waiting_key, "-inf", time.time(), start=0, num=limit)
        for member in waiting:  # type: ignore[union-attr]
            epoch, _, user_id = member.decode().partition(":")
            self._delete(user_id, int(epoch))
            with redis_errors():
                # Before the mark goes: a crash in between purges once too often, never too seldom.
                self._redis.set(self._purge_key, uuid.uuid4().hex)
                self._redis.zrem(self._waiting_key, member)
        return len(waiting)  # type: ignore[arg-type]

    def purge_wanted(self) -> bytes | None:
        """The newest wish that deleted rows leave the files, or None."""
        with redis_errors():
            return self._redis.get(self._purge_key)  # type: ignore[return-value]

    def purged(self, wish: bytes) -> None:
        """`wish` is fulfilled; one that came meanwhile stays."""
        with redis_errors():
            self._fulfilled(keys=[self._purge_key], args=[wish])


class Forgetting:
    """Sync; one caller thread.

    `erase(user_id, prompt_hashes)` deletes the cached LLM answers about a user, those of the hashes included (None:
    they stay named in the state).
    """

    def __init__(
        self,
        client: redis.Redis,
        namespace: str,
        store: StateStore,
        writer: FeatureWriter,
        due: DueSet,
        settings: StreamSettings,
        erase: Erase | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._late = LateRows(client, namespace, self._delete_late)
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
        self._late.expect(state.user_id, state.epoch, self._second_after_s)
        if self._erase is not None:
            self._erase(state.user_id, state.prompt_hashes)
        self._store.finish_forgetting(state.user_id, state.epoch, erased=self._erase is not None)
        log.info("forgot a user (epoch %d begins)", state.epoch)
        return True

    def again(self) -> int:
        """The second deletion of those whose time has come; how many. The compactor does it where no events arrive."""
        return self._late.delete()

    def _delete_late(self, user_id: str, epoch: int) -> None:
        self._writer.delete_entity("user", user_id, below_epoch=epoch)
        if self._erase is not None:
            # An answer that was on its way. One of a new life goes, too, and is paid for again: better than one kept.
            self._erase(user_id, ())
