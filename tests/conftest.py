"""Real services for the tests, each started once a session and only if a test asks for it."""

import resource
import sys
from contextlib import contextmanager

import pytest

from reki.embedded import kafka as kafka_server
from reki.embedded import llm, tansu
from reki.embedded import valkey as valkey_server
from reki.paths import cache_dir


@pytest.fixture(scope="session")
def valkey(tmp_path_factory):
    """A Valkey with its append-only file on (`.url`); shared, so use your own namespace or FLUSHALL nothing."""
    with valkey_server.start(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """An Apache Kafka node (`.bootstrap`)."""
    if kafka_server.java() is None:
        pytest.skip("Apache Kafka needs `java`, which is not on PATH")
    if not kafka_server.is_fetched(cache_dir()):
        pytest.skip("Apache Kafka was not fetched: `sh scripts/setup` does it where `mvn` is on PATH")
    with kafka_server.start(tmp_path_factory.mktemp("kafka"), kafka_server.libs(cache_dir())) as server:
        yield server


@pytest.fixture(scope="session")
def last_resort_broker(tmp_path_factory):
    """The memory-only broker for machines without Java (`.bootstrap`)."""
    with tansu.start(tmp_path_factory.mktemp("tansu")) as server:
        yield server


@pytest.fixture(scope="session")
def llm_server(tmp_path_factory):
    """The embedded LLM behind an OpenAI-compatible URL (`.base_url`)."""
    with llm.start(tmp_path_factory.mktemp("llm")) as server:
        yield server


@pytest.fixture
def file_limit(monkeypatch):
    """As on a full disk: `with` it no file may grow beyond so many bytes."""
    # Python would put a bytecode file cut off at the limit beside a module, and fail on it ever after.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    @contextmanager
    def limited(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
