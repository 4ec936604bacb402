"""Which slot of the vector views is in use."""

from redis import Redis

from feature_repo.schema import SLOTS
from knowledge.base import TerminalError
from streams.redis_calls import redis_errors


def active_slots(client: Redis, namespace: str) -> tuple[str, ...]:
    """The slots that vectors are written to, the serving one first (one until a roll-out opens the other)."""
    with redis_errors():
        raw = client.get(f"{namespace}:active_slot")
    slot = SLOTS[0] if raw is None else raw.decode() if isinstance(raw, bytes) else str(raw)
    if slot not in SLOTS:
        raise TerminalError("bad_slot", f"{namespace}:active_slot holds {slot!r}; it must be one of {SLOTS}")
    return (slot,)
