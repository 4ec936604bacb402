"""A short lease in Redis: of several workers one runs the scheduler."""

import uuid
from typing import TYPE_CHECKING

from streams.redis_calls import redis_errors

if TYPE_CHECKING:
    from redis import Redis

_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Leader:
    """Take or keep the lease with `hold()`.

    Two holders for a moment (a stuck process that wakes) do no harm here: taking due users is atomic, only the token
    budget would be exceeded.
    """

    def __init__(self, redis: "Redis", key: str, lease_s: float = 5.0) -> None:
        self._key = key
        self._name = uuid.uuid4().hex
        self._lease_ms = int(lease_s * 1000)
        self._hold = redis.register_script(_HOLD)
        self._release = redis.register_script(_RELEASE)

    def hold(self) -> bool:
        """Whether this process is the leader for the next `lease_s` seconds."""
        with redis_errors():
            return bool(self._hold(keys=[self._key], args=[self._name, self._lease_ms]))

    def release(self) -> None:
        """Give the lease back at a clean stop, so that the next worker need not wait it out."""
        with redis_errors():
            self._release(keys=[self._key], args=[self._name])
