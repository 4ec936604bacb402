"""Fixtures of the refresh half: a namespace of one's own on the session's Valkey."""

import uuid

import pytest

from feature_repo.keys import Keys
from streams.due import DueSet
from streams.redis_calls import connect
from streams.store import StateStore
from tests.streams_refresh.refresher_world import world

__all__ = ["world"]  # a fixture


@pytest.fixture
def client(valkey):
    connection = connect(valkey.url)
    yield connection
    connection.close()


@pytest.fixture
def namespace():
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture
def keys(namespace):
    return Keys(namespace)


@pytest.fixture
def due(client, namespace):
    return DueSet(client, namespace)


@pytest.fixture
def store(client, keys):
    return StateStore(client, keys, ring_size=100)
