"""Nothing is committed that a crash of Redis could still take back (window E7). Sync, with a client of its own."""

import logging
from collections.abc import Mapping
from typing import Any

from knowledge.base import TransientError
from streams.redis_calls import connect, redis_errors

log = logging.getLogger(__name__)


class Durability:
    """Waits until Redis has fsynced what was written, and notices when it was restarted in between.

    A restarted Redis has lost up to its last second, and clients reconnect to it without a word: state that was
    applied before, and is not committed yet, must then be applied again. `run_id` changes at every start and failover.
    """

    def __init__(self, url: str, namespace: str, replicas: int = 0, timeout_s: float = 5.0) -> None:
        self._redis = connect(url, timeout_s=timeout_s + 2)
        self._applied_key = f"{namespace}:applied"
        self._replicas = replicas
        self._timeout_ms = int(timeout_s * 1000)
        self._run_id = ""
        self._has_aof = True
        self._warned = False

    def begin(self) -> None:
        """Take the server as it is now: what is written from here on may be settled."""
        with redis_errors():
            self._run_id = self._server()
            self._has_aof = bool(int(self._redis.info("persistence").get("aof_enabled", 0)))  # type: ignore[union-attr]
        if not self._has_aof and not self._warned:
            self._warned = True
            log.warning(
                "Redis runs without its append-only file: a crash of Redis loses user state and vectors "
                "(set appendonly yes; `reki rebuild` restores them from the offline store)"
            )

    def applied(self) -> dict[str, int]:
        """`topic id:partition` -> last offset that was settled."""
        with redis_errors():
            stored: Any = self._redis.hgetall(self._applied_key)
        return {place.decode(): int(offset) for place, offset in stored.items()}

    def settle(self, applied: Mapping[str, int]) -> None:
        """Note how far each `topic id:partition` is applied, and return when that and all before it is on disk.

        Raises `TransientError`: `redis_restarted`, `not_durable`, `redis_unavailable`.
        """
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            # WAITAOF waits for this connection's own last write; the log is one, so that covers all writes before it.
            pipe.hset(self._applied_key, mapping=dict(applied))
            if self._has_aof:
                pipe.waitaof(1, self._replicas, self._timeout_ms)
            elif self._replicas:
                pipe.wait(self._replicas, self._timeout_ms)
            answers = pipe.execute()
            # After the wait: the same server until here means that nothing before it was lost.
            run_id = self._server()
        if run_id != self._run_id:
            raise TransientError("redis_restarted", "Redis was restarted: going back to the last committed offsets")
        if self._has_aof and (answers[1][0] < 1 or answers[1][1] < self._replicas):
            raise TransientError("not_durable", f"Redis did not fsync within {self._timeout_ms} ms: not committed yet")
        if not self._has_aof and self._replicas and answers[1] < self._replicas:
            raise TransientError("not_durable", f"{answers[1]} of {self._replicas} replicas have the state: waiting")

    def close(self) -> None:
        """Disconnect."""
        self._redis.close()

    def _server(self) -> str:
        info: Any = self._redis.info("server")
        return str(info["run_id"])


def place_key(topic_id: str, partition: int) -> str:
    """How a partition of an offset line is named in Redis."""
    return f"{topic_id}:{partition}"
