"""Sends records of ours (refresh requests, feature updates) and waits for the broker's acknowledgement."""

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from knowledge.base import TransientError


class Publisher:
    """One asyncio producer: acks=all, idempotent (but on the last-resort broker, which cannot)."""

    def __init__(self, bootstrap: str, *, last_resort: bool = False, timeout_s: float = 8.0) -> None:
        self._options = {
            "bootstrap_servers": bootstrap,
            "acks": "all",
            "enable_idempotence": not last_resort,
            "request_timeout_ms": int(timeout_s * 1000),
        }
        self._producer: Any = None

    async def start(self) -> None:
        """Connect; raises `TransientError` (`broker_unavailable`)."""
        producer = AIOKafkaProducer(**self._options)
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise _unavailable(error) from error
        self._producer = producer

    async def stop(self) -> None:
        """Send what is buffered and disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Return when the broker has the record. Raises `TransientError`: it may or may not be there."""
        if self._producer is None:
            await self.start()
        try:
            await self._producer.send_and_wait(topic, value, key)
        except KafkaError as error:
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> TransientError:
    return TransientError("broker_unavailable", f"the broker did not take a record ({error!r}): trying again")
