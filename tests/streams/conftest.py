"""Fixtures of the streaming tests; what they are made of stands in `world`, which tests import."""

import pytest

from tests.streams.world import Nursery, make_streams


@pytest.fixture(scope="session")
def nursery():
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def streams(kafka, valkey, nursery, tmp_path):
    made = make_streams(kafka.bootstrap, valkey, tmp_path, nursery)
    yield made
    made.close()
