"""The topic table: names, keys, retention, partitions. `streams.topic_admin` makes it true."""

from dataclasses import dataclass, field

from streams.settings import StreamSettings

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Topic:
    """One topic as it should be."""

    name: str
    key: str
    partitions: int
    cleanup: str
    about: str
    retention_ms: int | None = None
    config: dict[str, str] = field(default_factory=dict)

    def configs(self, replication: int) -> dict[str, str]:
        """The topic's configuration for that many replicas."""
        configs = {"cleanup.policy": self.cleanup, **self.config}
        if self.retention_ms is not None:
            configs["retention.ms"] = str(self.retention_ms)
        if replication > 1:
            # An acknowledged event is on two brokers, and a broker that missed it never leads.
            configs["min.insync.replicas"] = str(min(2, replication - 1))
            configs["unclean.leader.election.enable"] = "false"
        return configs


@dataclass(frozen=True)
class TopicNames:
    """Every name carries the namespace, so that two environments share a cluster."""

    namespace: str

    def _name(self, kind: str) -> str:
        return f"{self.namespace}.{kind}"

    @property
    def behavior(self) -> str:
        """Behaviour events; key user id; a null value forgets the user."""
        return self._name("behavior")

    @property
    def items(self) -> str:
        """Item profiles; key item id; compacted; null withdraws."""
        return self._name("items")

    @property
    def profiles(self) -> str:
        """User profiles; key user id; compacted; null withdraws."""
        return self._name("profiles")

    @property
    def refresh_requests(self) -> str:
        """Requests to regenerate a user's knowledge; key user id."""
        return self._name("refresh-requests")

    @property
    def feature_updates(self) -> str:
        """Announcements of written features, at least once; key entity id."""
        return self._name("feature-updates")

    @property
    def dead_letters(self) -> str:
        """What could not be processed, with its reason; key topic-partition-offset."""
        return self._name("dead-letters")

    @property
    def control(self) -> str:
        """Roll-outs; key kind; compacted."""
        return self._name("control")

    @property
    def behavior_group(self) -> str:
        """Consumer group of the stream worker."""
        return f"{self.namespace}-behavior"

    @property
    def refresh_group(self) -> str:
        """Consumer group of the refresh worker."""
        return f"{self.namespace}-refresh"

    @property
    def topic_ids_key(self) -> str:
        """Redis hash topic name -> id of the offset line in use."""
        return f"{self.namespace}:topic_ids"


def topic_table(namespace: str, settings: StreamSettings) -> tuple[Topic, ...]:
    """The seven topics of a namespace."""
    names = TopicNames(namespace)
    behavior_ms = int(settings.behavior_retention_s * 1000)
    return (
        Topic(
            names.behavior,
            "user_id",
            settings.behavior_partitions,
            "delete",
            "a null value forgets the user",
            behavior_ms,
        ),
        Topic(names.items, "item_id", settings.slow_partitions, "compact", "null withdraws"),
        Topic(names.profiles, "user_id", settings.slow_partitions, "compact", "null withdraws"),
        Topic(
            names.refresh_requests,
            "user_id",
            settings.refresh_partitions,
            "compact,delete",
            "dropped where source_rev <= refreshed_rev",
            3 * DAY_MS,
        ),
        Topic(names.feature_updates, "entity id", settings.refresh_partitions, "delete", "at least once", DAY_MS),
        Topic(
            names.dead_letters,
            "topic-partition-offset",
            1,
            "delete",
            "reason, original bytes",
            30 * DAY_MS,
            {"max.message.bytes": "2097152"},
        ),
        Topic(names.control, "kind", 1, "compact", "roll-outs"),
    )
