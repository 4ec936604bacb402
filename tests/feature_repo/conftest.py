"""A project of its own for each test on the shared Valkey, and a whole Feast repository for the contract tests."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from feature_repo import repo
from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter

_COUNT = itertools.count()


@dataclass
class Bench:
    """Both stores of one project, with our writer and reader over them."""

    client: redis.Redis
    keys: Keys
    offline: OfflineBuffer
    writer: FeatureWriter
    reader: FeatureReader

    def fields(self, entity: str, entity_id: str) -> dict[bytes, bytes]:
        """The raw Redis hash."""
        return self.client.hgetall(self.keys.row_key(entity, entity_id))


def _bench(url: str, project: str, folder: Path) -> Bench:
    client = redis.Redis.from_url(url)
    keys = Keys(project)
    offline = OfflineBuffer(folder)
    return Bench(client, keys, offline, FeatureWriter(client, keys, offline), FeatureReader(client, keys))


@pytest.fixture
def bench(valkey, tmp_path):
    """Writer, reader and stores of a project that no other test uses."""
    made = _bench(valkey.url, f"features{next(_COUNT)}", tmp_path / "offline")
    yield made
    made.client.close()


@dataclass
class FeastBench(Bench):
    """The same, with an applied Feast repository."""

    store: Any
    settings: FeatureSettings


@pytest.fixture(scope="session")
def feast_bench(valkey, tmp_path_factory):
    """A rendered and applied Feast repository; shared by the session, so use your own ids."""
    from feast import FeatureStore

    folder = tmp_path_factory.mktemp("feast")
    settings = FeatureSettings(
        namespace="contract",
        redis_url=valkey.url,
        offline_dir=folder / "offline",
        registry_path=folder / "registry.db",
        feast_repo=folder / "repo",
    )
    repo.apply(settings)
    made = _bench(valkey.url, settings.namespace, settings.offline_dir)
    yield FeastBench(**vars(made), store=FeatureStore(repo_path=str(settings.feast_repo)), settings=settings)
    made.client.close()
