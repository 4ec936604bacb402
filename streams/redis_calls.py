"""Redis as this room needs it: no silent reconnects, and its failures told apart."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from knowledge.base import TransientError

_PASSING = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    OSError,
)
# Replies without a class of their own that pass by themselves or by an operator's hand: the worker waits for it.
_PASSING_WORDS = ("MISCONF", "NOREPLICAS", "OOM", "LOADING", "READONLY", "BUSY", "NOAUTH", "WRONGPASS")


def connect(url: str, timeout_s: float = 5.0) -> redis.Redis:
    """A client that never repeats a call by itself.

    redis-py would reconnect and retry in silence; state applied before a Redis crash and lost in it (window E7) would
    then be committed as done. The callers retry, after going back to the committed offsets.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=2.0,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn Redis' passing failures into `TransientError` (`redis_unavailable`); a script's error stays one."""
    try:
        yield
    except _PASSING as error:
        raise _transient(error) from error
    except redis.exceptions.ResponseError as error:
        if str(error).split(" ", 1)[0] in _PASSING_WORDS:
            raise _transient(error) from error
        raise


def _transient(error: Exception) -> TransientError:
    return TransientError("redis_unavailable", f"Redis does not answer as it should ({error}); trying again")
