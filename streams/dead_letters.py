"""The dead-letter topic: what could not be processed, unchanged, with the reason in its headers."""

import socket
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from knowledge.base import TerminalError, TransientError
from streams.topics import TopicNames

_CAP = 900_000  # bytes of a value that is sent if the whole is refused


class DeadLetters:
    """Sends one record at a time and waits for the acknowledgement, so that a commit never runs ahead of it.

    Key: topic-partition-offset, so that a repeat is recognised. Value: the original bytes. Headers: `reason`,
    `message`, `topic`, `partition`, `offset`, `key` (the original one), `failed_at`, `host`; `truncated` where the
    value had to be cut.
    """

    def __init__(self, bootstrap: str, namespace: str, *, last_resort: bool = False, timeout_s: float = 8.0) -> None:
        self._topic = TopicNames(namespace).dead_letters
        self._options = {
            "bootstrap_servers": bootstrap,
            "acks": "all",
            "enable_idempotence": not last_resort,
            "request_timeout_ms": int(timeout_s * 1000),
            "max_request_size": 2_097_152,
        }
        self._producer: Any = None
        self.sent = 0

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
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def send(self, record: Any, error: TerminalError, *, acknowledged: bool = True) -> None:  # noqa: ANN401
        """Send an aiokafka `ConsumerRecord`; returns when the broker has it. Raises `TransientError`.

        `acknowledged=False` does not wait (fault tests).
        """
        if self._producer is None:
            await self.start()
        key = f"{record.topic}-{record.partition}-{record.offset}".encode()
        headers = _headers(record, error)
        try:
            future = await self._producer.send(self._topic, record.value, key, headers=headers)
            if not acknowledged:
                return
            await future
        except MessageSizeTooLargeError:
            headers.append(("truncated", str(len(record.value)).encode()))
            await self._send_cut(record.value[:_CAP], key, headers)
        except KafkaError as failure:
            raise _unavailable(failure) from failure
        self.sent += 1

    async def _send_cut(self, value: bytes, key: bytes, headers: list[tuple[str, bytes]]) -> None:
        try:
            await self._producer.send_and_wait(self._topic, value, key, headers=headers)
        except KafkaError as failure:
            raise _unavailable(failure) from failure


def _headers(record: Any, error: TerminalError) -> list[tuple[str, bytes]]:  # noqa: ANN401
    fields = {
        "reason": error.reason,
        "message": error.message[:1000],
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "failed_at": datetime.now(UTC).isoformat(),
        "host": socket.gethostname(),
    }
    headers = [(name, text.encode("utf-8", "replace")) for name, text in fields.items()]
    if record.key is not None:
        headers.append(("key", bytes(record.key[:1000])))
    return headers


def _unavailable(error: Exception) -> TransientError:
    return TransientError("dead_letters_unavailable", f"topic dead-letters did not take a record ({error!r}): waiting")
