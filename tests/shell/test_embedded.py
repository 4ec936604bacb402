"""Contract tests of the embedded services against the real binaries."""

import os

import pytest
import redis
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from feature_repo.schema import physical_views
from knowledge.base import TransientError
from reki.embedded import kafka as kafka_server
from reki.embedded import ports
from reki.embedded import valkey as valkey_server
from reki.embedded.service import Service, last_line, running
from reki.paths import cache_dir


def test_drawn_ports_are_different_and_free():
    drawn = ports.draw(20)
    assert len(set(drawn)) == 20
    assert all(ports.is_free(port) for port in drawn)


def test_a_port_in_use_is_not_free(tmp_path):
    import socket

    with socket.socket() as server:
        server.bind((ports.LOOPBACK, 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])
        assert ports.accepts(server.getsockname()[1])


def test_a_service_that_dies_is_reported_with_its_last_line(tmp_path):
    broken = Service("broken", ("sh", "-c", "echo the reason; exit 3"), probe=lambda: False)
    with (
        pytest.raises(TransientError, match=r"broken ended with exit code 3: the reason"),
        running(broken, tmp_path / "log"),
    ):
        pytest.fail("it never was ready")


def test_a_service_is_killed_that_ignores_sigterm(tmp_path):
    armed = tmp_path / "armed"
    script = f"trap '' TERM; touch {armed}; while :; do sleep 0.1; done"
    stubborn = Service("stubborn", ("sh", "-c", script), probe=armed.exists, stop_s=0.3)
    with running(stubborn, tmp_path / "log") as process:
        pass
    assert process.returncode == -9


def test_last_line_skips_blank_lines_and_missing_files(tmp_path):
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("first\nlast\n\n")
    assert last_line(log) == "last"


@pytest.mark.services
def test_valkey_keeps_what_was_written_across_a_restart(tmp_path):
    with valkey_server.start(tmp_path) as server:
        redis.Redis.from_url(server.url).set("kept", "yes")
    with valkey_server.start(tmp_path) as server:
        assert redis.Redis.from_url(server.url).get("kept") == b"yes"
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


@pytest.mark.services
def test_valkey_packs_a_hash_with_our_longest_vector(tmp_path):
    """As a hash table it would take a third more memory for every user."""
    longest = 4 * max(feature.width or 0 for view, _ in physical_views().values() for feature in view.features)
    with valkey_server.start(tmp_path) as server:
        client = redis.Redis.from_url(server.url)
        client.hset("user", mapping={"field": b"x" * (longest + 16), "other": b"1"})
        assert client.object("encoding", "user") == b"listpack"


def _send_and_receive(bootstrap: str) -> list[bytes]:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic("contract", num_partitions=1, replication_factor=1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=False)
    for number in range(3):
        producer.send("contract", key=b"user", value=b"%d" % number).get(timeout=20)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=10_000)
    consumer.assign([TopicPartition("contract", 0)])
    values = [next(consumer).value for _ in range(3)]
    consumer.close()
    return values


@pytest.mark.services
@pytest.mark.parametrize("broker", ["kafka", "last_resort_broker"])
def test_a_broker_delivers_in_order_what_it_acknowledged(broker, request):
    server = request.getfixturevalue(broker)
    assert _send_and_receive(server.bootstrap) == [b"0", b"1", b"2"]


@pytest.mark.services
def test_kafka_keeps_acknowledged_messages_across_kill_9(tmp_path, kafka):
    jars = kafka_server.libs(cache_dir())
    port, controller_port = ports.draw(2)
    with kafka_server.start(tmp_path, jars, port, controller_port) as server:
        admin = KafkaAdminClient(bootstrap_servers=server.bootstrap)
        admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
        admin.close()
        producer = KafkaProducer(bootstrap_servers=server.bootstrap, acks="all")
        producer.send("kept", b"event").get(timeout=20)
        os.kill(server.pid, 9)
        producer.close(timeout=1)
    with kafka_server.start(tmp_path, jars, port, controller_port) as server:
        consumer = KafkaConsumer(bootstrap_servers=server.bootstrap, auto_offset_reset="earliest")
        consumer.assign([TopicPartition("kept", 0)])
        assert next(consumer).value == b"event"
        consumer.close()


def test_a_clusters_id_is_never_taken_for_an_option(monkeypatch):
    drawn = iter(
        [bytes([0xF8]) + bytes(15), bytes([0xFB]) + bytes(15), bytes([1]) * 16]
    )  # the first two begin with "-"
    monkeypatch.setattr(kafka_server.uuid, "uuid4", lambda: type("Drawn", (), {"bytes": next(drawn)}))
    assert kafka_server.cluster_id() == "AQEBAQEBAQEBAQEBAQEBAQ"
