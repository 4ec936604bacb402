"""The control topic: roll-outs, which every worker must know of and acknowledge before they go on.

While a roll-out is open, vectors are written to both slots. A roll-out's backfill starts only when every worker has
acknowledged it: else a worker that does not know of it would leave the other slot behind (window R7).
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import redis
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from feature_repo.schema import SLOTS
from knowledge.base import TerminalError, TransientError
from streams.redis_calls import redis_errors
from streams.topics import TopicNames

log = logging.getLogger(__name__)
ROLL_OUT = "rollout"  # record key, the only kind so far


@dataclass(frozen=True)
class RollOut:
    """A record of topic `control`. `slot` is the one that is being filled; `open` until it is retired."""

    id: str
    slot: str
    open: bool

    def encode(self) -> bytes:
        """The record value."""
        return json.dumps(asdict(self)).encode()


def parse_roll_out(value: bytes) -> RollOut:
    """Read a record value; raises `TerminalError` (`bad_control`)."""
    try:
        data = json.loads(value)
        found = RollOut(str(data["id"]), str(data["slot"]), bool(data["open"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TerminalError("bad_control", f"not a roll-out record ({error!r}): {value[:200]!r}") from error
    if found.slot not in SLOTS:
        raise TerminalError("bad_control", f"there is no slot {found.slot!r}: use one of {SLOTS}")
    return found


class Slots:
    """Which slots are written now: the active one, and both while a roll-out is open. Read by the worker thread."""

    def __init__(self, client: redis.Redis, namespace: str, ttl_s: float = 1.0) -> None:
        self._redis = client
        self._key = f"{namespace}:active_slot"
        self._ttl_s = ttl_s
        self._active = SLOTS[0]
        self._read_at = -ttl_s
        self.roll_out: RollOut | None = None

    def current(self) -> tuple[str, ...]:
        """Slots to write; the active one first."""
        if time.monotonic() - self._read_at >= self._ttl_s:
            with redis_errors():
                found = self._redis.get(self._key)
            self._active = found.decode() if isinstance(found, bytes) else SLOTS[0]
            self._read_at = time.monotonic()
        if self.roll_out is not None and self.roll_out.open:
            return (self._active, *(slot for slot in SLOTS if slot != self._active))
        return (self._active,)


def acks_key(namespace: str, roll_out_id: str) -> str:
    """Redis hash worker id -> `open` or `closed`."""
    return f"{namespace}:control:acks:{roll_out_id}"


def workers_key(namespace: str) -> str:
    """Redis sorted set of living workers by the time (s) of their last sign."""
    return f"{namespace}:workers"


def missing_acks(client: redis.Redis, namespace: str, roll_out: RollOut, alive_s: float = 15.0) -> set[str]:
    """Living workers that have not acknowledged `roll_out` in its present form."""
    with redis_errors():
        living = client.zrangebyscore(workers_key(namespace), time.time() - alive_s, "+inf")
        acks = client.hgetall(acks_key(namespace, roll_out.id))
    phase = b"open" if roll_out.open else b"closed"
    return {worker.decode() for worker in living if acks.get(worker) != phase}  # type: ignore[union-attr]


class ControlWatcher:
    """Reads the whole control topic (no group: every worker sees all of it) and acknowledges what it has taken up.

    `take_up` gets every roll-out and returns when no write that was begun before can still go by the old rule.
    """

    def __init__(
        self,
        bootstrap: str,
        namespace: str,
        worker_id: str,
        client: redis.Redis,
        take_up: Callable[[RollOut], Awaitable[None]],
        *,
        last_resort: bool = False,
    ) -> None:
        self._bootstrap = bootstrap
        self._namespace = namespace
        self._worker_id = worker_id
        self._redis = client
        self._take_up = take_up
        self._last_resort = last_resort
        self._partition = TopicPartition(TopicNames(namespace).control, 0)
        self._consumer: Any = None

    async def start(self) -> None:
        """Connect and take up everything that stands on the topic. Raises `TransientError`."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
        try:
            await consumer.start()
            self._consumer = consumer
            consumer.assign([self._partition])
            await consumer.seek_to_beginning(self._partition)
            await self._catch_up()
        except (KafkaError, OSError) as error:
            await consumer.stop()
            raise TransientError("broker_unavailable", f"cannot read topic control: {error!r}") from error

    async def run(self) -> None:
        """Follow the topic, and sign that this worker lives, until cancelled."""
        while True:
            try:
                await self._read_once(2000)
            except (KafkaError, TransientError) as error:
                log.warning("control topic: %s", error)
                await asyncio.sleep(1.0)

    async def stop(self) -> None:
        """Disconnect and sign off."""
        if self._consumer is not None:
            await self._consumer.stop()
        with suppress(TransientError):
            await asyncio.to_thread(self._sign, False)

    async def _catch_up(self) -> None:
        if self._last_resort:  # its end offsets are wrong: read until nothing comes
            while await self._read_once(500):
                pass
            return
        end = (await self._consumer.end_offsets([self._partition]))[self._partition]
        while await self._consumer.position(self._partition) < end:
            await self._read_once(500)
        await asyncio.to_thread(self._sign, True)

    async def _read_once(self, timeout_ms: int) -> int:
        await asyncio.to_thread(self._sign, True)
        records = (await self._consumer.getmany(self._partition, timeout_ms=timeout_ms)).get(self._partition, [])
        for record in records:
            if record.key != ROLL_OUT.encode() or record.value is None:
                continue
            try:
                found = parse_roll_out(record.value)
            except TerminalError as error:
                log.error("control record %d ignored: %s", record.offset, error)
                continue
            await self._take_up(found)
            await asyncio.to_thread(self._acknowledge, found)
        return len(records)

    def _sign(self, living: bool) -> None:
        with redis_errors():
            if living:
                self._redis.zadd(workers_key(self._namespace), {self._worker_id: time.time()})
            else:
                self._redis.zrem(workers_key(self._namespace), self._worker_id)

    def _acknowledge(self, roll_out: RollOut) -> None:
        with redis_errors():
            key = acks_key(self._namespace, roll_out.id)
            self._redis.hset(key, self._worker_id, "open" if roll_out.open else "closed")
            self._redis.expire(key, 30 * 86400)
