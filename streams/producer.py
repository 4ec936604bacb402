"""`BehaviorProducer`: publish events and wait for the broker's word; every event gets a token."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from knowledge.base import BehaviorEvent, RekiError, TerminalError, TransientError
from streams.events import encode_event, encode_key
from streams.settings import StreamSettings
from streams.tokens import BehaviorToken
from streams.topic_admin import topic_ids
from streams.topics import TopicNames


class BehaviorProducer:
    """Publishes to topic `behavior`: acks=all, idempotent (but on the last-resort broker, which cannot).

    Raises at once what can be known at once: `TerminalError` (`no_topic`) where the topic is missing,
    `TransientError` (`broker_unavailable`) where no broker answers, both within `timeout_s` seconds.
    After a `TransientError` from `publish` the event may or may not be on the topic: publish the same event again
    (same `event_id`), it counts once. After `close` it raises `TerminalError` (`closed`).
    """

    def __init__(
        self, bootstrap: str, namespace: str = "reki", *, last_resort: bool = False, timeout_s: float = 8.0
    ) -> None:
        settings = StreamSettings(kafka_bootstrap=bootstrap, kafka_request_timeout_s=timeout_s)
        self._bootstrap = bootstrap
        self._timeout_s = timeout_s
        self._closed = False
        self._topic = TopicNames(namespace).behavior
        self._topic_id = topic_ids(settings, [self._topic]).get(self._topic, "")
        wait_ms = int(timeout_s * 1000)
        try:
            self._producer = KafkaProducer(
                bootstrap_servers=bootstrap.split(","),
                acks="all",
                enable_idempotence=not last_resort,
                max_block_ms=wait_ms,
                request_timeout_ms=wait_ms,
                delivery_timeout_ms=wait_ms + 1000,
                bootstrap_timeout_ms=wait_ms,
            )
        except KafkaError as error:
            raise self._unavailable(error) from error

    def publish(self, event: BehaviorEvent) -> BehaviorToken:
        """Publish one event and return when the broker has acknowledged it."""
        return self.publish_many([event])[0]

    def publish_many(self, events: Sequence[BehaviorEvent]) -> list[BehaviorToken]:
        """Publish events together, in order; returns when all are acknowledged."""
        sent = [(event, self._send(event.user_id, encode_event(event))) for event in events]
        self._producer.flush(timeout=self._timeout_s * 2) if len(sent) > 1 else None
        return [self._token(event.user_id, event.event_id, future) for event, future in sent]

    def forget(self, user_id: str) -> BehaviorToken:
        """Ask to forget a user: a null value under their key. What they did before it goes, everywhere."""
        return self._token(user_id, "", self._send(user_id, None))

    def close(self) -> None:
        """Let go of the broker; nothing can be published afterwards."""
        self._closed = True
        self._producer.close(timeout=self._timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, user_id: str, value: bytes | None) -> Any:  # noqa: ANN401 - kafka-python is untyped
        if self._closed:
            raise TerminalError("closed", "this BehaviorProducer is closed: make a new one to publish")
        try:
            return self._producer.send(self._topic, key=encode_key(user_id), value=value)
        except KafkaError as error:
            raise self._explained(error) from error

    def _token(self, user_id: str, event_id: str, future: Any) -> BehaviorToken:  # noqa: ANN401
        try:
            placed = future.get(timeout=self._timeout_s)
        except KafkaError as error:
            raise self._explained(error) from error
        return BehaviorToken(user_id, self._topic_id, placed.partition, placed.offset, event_id)

    def _explained(self, error: KafkaError) -> RekiError:
        if isinstance(error, MessageSizeTooLargeError):
            return TerminalError("too_large", f"the event is larger than topic {self._topic} takes: {error}")
        if isinstance(error, UnknownTopicOrPartitionError | KafkaTimeoutError):
            return TransientError(
                "not_acknowledged",
                f"topic {self._topic} on {self._bootstrap} did not take the event within {self._timeout_s:g} s "
                f"({error}): check that it exists and the broker is up, then publish the same event again",
            )
        return self._unavailable(error)

    def _unavailable(self, error: KafkaError) -> RekiError:
        return TransientError(
            "broker_unavailable", f"no broker answers at {self._bootstrap} ({error!r}): start it, then publish again"
        )
