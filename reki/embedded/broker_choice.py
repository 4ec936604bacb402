"""Which broker the embedded stack runs: a Kafka of yours, the fetched one, or the last resort."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from knowledge.base import TerminalError
from reki.embedded import kafka


class BrokerKind(StrEnum):
    """Where the broker comes from."""

    EXTERNAL = "external"
    KAFKA = "kafka"
    LAST_RESORT = "last-resort"


@dataclass(frozen=True)
class BrokerChoice:
    """The broker to run. `jars` for Apache Kafka; `note` is one plain line to print, where there is one to say."""

    kind: BrokerKind
    jars: Path | None = None
    note: str = ""


def choose(wish: str, kafka_home: Path | None, cache: Path) -> BrokerChoice:
    """The broker for `REKI_BROKER` = `wish` (auto, kafka, last-resort).

    Raises `TerminalError` (`no_java`, `no_kafka`) where a Kafka is wished for and cannot run.
    """
    if wish == "last-resort":
        return BrokerChoice(BrokerKind.LAST_RESORT, note=_lost("REKI_BROKER=last-resort"))
    jars = kafka_home / "libs" if kafka_home else kafka.libs(cache)
    has_java, has_jars = kafka.java() is not None, any(jars.glob("kafka_*.jar"))
    if has_java and has_jars:
        return BrokerChoice(BrokerKind.KAFKA, jars)
    if kafka_home and not has_jars:
        raise TerminalError("no_kafka", f"KAFKA_HOME names {kafka_home}, but there is no libs/kafka_*.jar in it")
    if wish == "kafka" or kafka_home:
        if not has_java:
            raise TerminalError(
                "no_java", "Apache Kafka needs `java` 17 or newer on PATH: install a JRE of 17 or newer"
            )
        raise TerminalError("no_kafka", "Apache Kafka was not fetched: install `mvn` and run `sh scripts/setup`")
    missing = "there is no java on PATH" if not has_java else "Apache Kafka was not fetched (no mvn at set-up)"
    return BrokerChoice(BrokerKind.LAST_RESORT, note=_lost(missing))


def _lost(why: str) -> str:
    return f"{why}, so the last-resort broker is used: topics live in memory and are lost when it stops"
