"""Creating topics, and the id of the offset line that each of them is."""

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, for_code

from knowledge.base import TerminalError, TransientError
from streams.redis_calls import redis_errors
from streams.settings import StreamSettings
from streams.topics import Topic, TopicNames, topic_table

log = logging.getLogger(__name__)

_UNKNOWN_TOPIC, _ALREADY_EXISTS = 3, 36


@contextmanager
def admin_client(settings: StreamSettings) -> Iterator[Any]:
    """A kafka-python admin client; broker trouble inside the block is a `TransientError` (`broker_unavailable`)."""
    wait_ms = int(settings.kafka_request_timeout_s * 1000)
    try:
        client = KafkaAdminClient(
            bootstrap_servers=settings.kafka_bootstrap.split(","),
            request_timeout_ms=wait_ms,
            bootstrap_timeout_ms=wait_ms,
        )
        try:
            yield client
        finally:
            client.close()
    except KafkaError as error:
        raise TransientError(
            "broker_unavailable", f"the broker at {settings.kafka_bootstrap} does not do what was asked: {error!r}"
        ) from error


def ensure_topics(settings: StreamSettings, namespace: str, client: redis.Redis) -> dict[str, str]:
    """Create the topics that are missing and return topic name -> topic id; the ids are also kept in Redis.

    The id is the broker's own where it gives one. Where it does not, an id of our own changes when our call really
    created the topic: a wiped broker begins a new offset line, and its low offsets must not be taken for old ones.
    """
    table = topic_table(namespace, settings)
    names = TopicNames(namespace)
    pending_key = f"{names.topic_ids_key}:pending"
    with admin_client(settings) as admin:
        known = {topic["name"]: topic for topic in _describe(admin, [topic.name for topic in table])}
        missing = [topic for topic in table if topic.name not in known]
        # Written before the topic is made: a crash in between must not leave a new topic under its old id.
        own = {topic.name: str(uuid.uuid4()) for topic in missing}
        with redis_errors():
            if own:
                client.hset(pending_key, mapping=own)
            _create(admin, missing, _replication(admin, settings), settings)
            if missing:
                admin.wait_for_topics(
                    [topic.name for topic in missing], timeout_ms=int(settings.kafka_request_timeout_s * 1000)
                )
                known |= {topic["name"]: topic for topic in _describe(admin, [topic.name for topic in missing])}
            stored = {k.decode(): v.decode() for k, v in client.hgetall(names.topic_ids_key).items()}  # type: ignore[union-attr]
            pending = {k.decode(): v.decode() for k, v in client.hgetall(pending_key).items()}  # type: ignore[union-attr]
            ids = {
                name: broker_id(topic) or pending.get(name) or stored.get(name) or str(uuid.uuid4())
                for name, topic in known.items()
            }
            client.hset(names.topic_ids_key, mapping=ids)
            client.delete(pending_key)
    for topic in table:
        found = len(known[topic.name]["partitions"])
        if found < topic.partitions:
            log.warning(
                "topic %s has %d partitions, not %d as in the settings: kept as it is",
                topic.name,
                found,
                topic.partitions,
            )
    return ids


def topic_ids(settings: StreamSettings, names: Sequence[str]) -> dict[str, str]:
    """The broker's own ids of existing topics; a topic without one is left out.

    Raises `TerminalError` (`no_topic`) for a topic that does not exist.
    """
    with admin_client(settings) as admin:
        known = {topic["name"]: topic for topic in _describe(admin, names)}
    for name in names:
        if name not in known:
            raise TerminalError(
                "no_topic",
                f"topic {name} does not exist on {settings.kafka_bootstrap}: the stream worker makes the topics "
                "when it starts, so start it (`reki up` or `reki worker stream`), or check the namespace",
            )
    return {name: found for name in names if (found := broker_id(known[name]))}


def broker_id(topic: Mapping[str, Any]) -> str:
    """The broker's topic id as text; empty where it has none (older brokers)."""
    value = topic.get("topic_id")
    return "" if value is None or int(uuid.UUID(str(value))) == 0 else str(value)


def _describe(admin: Any, names: Sequence[str]) -> list[dict[str, Any]]:  # noqa: ANN401 - kafka-python is untyped
    described = admin.describe_topics(list(names))
    for topic in described:
        if topic["error_code"] not in (0, _UNKNOWN_TOPIC):
            raise TransientError(
                "broker_unavailable", f"topic {topic['name']}: {for_code(topic['error_code']).__name__}"
            )
    return [topic for topic in described if topic["error_code"] == 0]


def _replication(admin: Any, settings: StreamSettings) -> int:  # noqa: ANN401
    return settings.topic_replication or min(3, len(admin.describe_cluster()["brokers"]))


def _create(admin: Any, topics: Sequence[Topic], replication: int, settings: StreamSettings) -> None:  # noqa: ANN401
    if not topics:
        return
    request = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": replication,
            "configs": topic.configs(replication),
        }
        for topic in topics
    }
    answer = admin.create_topics(request, timeout_ms=int(settings.kafka_request_timeout_s * 1000), raise_errors=False)
    for topic in answer["topics"]:
        code = topic["error_code"]
        if code not in (0, _ALREADY_EXISTS):  # another worker may have been faster
            raise TerminalError(
                "topic_refused",
                f"the broker refuses topic {topic['name']}: {for_code(code).__name__} {topic['error_message'] or ''}; "
                "check replication (REKI_TOPIC_REPLICATION) and rights, or create it by hand (docs/streams.md)",
            )
