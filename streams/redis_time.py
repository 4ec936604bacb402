"""The Redis clock: the one that debounce, budgets and deadlines run on in live operation."""

from redis import Redis

from streams.redis_calls import redis_errors


def redis_micros(client: Redis) -> int:
    """Microseconds since 1970 on the server's clock."""
    with redis_errors():
        seconds, micro = client.time()  # type: ignore[misc]  # redis-py types replies as possibly awaitable
    return int(seconds) * 1_000_000 + int(micro)
