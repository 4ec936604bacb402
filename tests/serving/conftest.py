"""A written catalogue and a Triton on it, each once a session."""

import pytest
import redis

from feature_repo.keys import Keys
from feature_repo.repo import apply
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter
from serving.client import RekiClient
from serving.export import export_release
from serving.ranker_load import COSINE
from serving.settings import ServingSettings
from tests.serving.world import ITEMS, TRITON_PYTHON, Catalogue, FakeRelease, OnlineStore, run_triton


@pytest.fixture(scope="session")
def online_store(tmp_path_factory):
    """A Valkey of these tests' own: they stop it."""
    store = OnlineStore(tmp_path_factory.mktemp("serving-store"))
    store.start()
    yield store
    store.stop()


@pytest.fixture(scope="session")
def feature_settings(online_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving-features")
    settings = FeatureSettings(
        namespace="serving_tests",
        redis_url=online_store.url,
        offline_dir=folder / "offline",
        registry_path=folder / "registry.db",
        feast_repo=folder / "repo",
    )
    apply(settings)
    return settings


@pytest.fixture(scope="session")
def feast_store(feature_settings):
    from feast import FeatureStore

    return FeatureStore(repo_path=str(feature_settings.feast_repo))


@pytest.fixture(scope="session")
def catalogue(feature_settings):
    client = redis.Redis.from_url(feature_settings.redis_url)
    keys = Keys(feature_settings.namespace)
    made = Catalogue(feature_settings, client, FeatureWriter(client, keys), keys)
    for item_id in ITEMS:
        made.item(item_id)
    yield made
    client.close()


@pytest.fixture(scope="session")
def triton(catalogue, feast_store, tmp_path_factory):
    """A real Triton with the export of a release whose ranker needs no training."""
    if not TRITON_PYTHON.exists():
        pytest.skip("there is no .venv-triton: `sh scripts/setup` makes it")
    folder = tmp_path_factory.mktemp("triton")
    serving = ServingSettings(item_cache_ttl_s=0.5)
    export_release(folder / "models", FakeRelease(), "blue", catalogue.settings, serving, COSINE, feast_store)
    with run_triton(folder) as running_triton:
        yield running_triton


@pytest.fixture(scope="session")
def client(triton):
    with RekiClient(ServingSettings(recommend_deadline_s=10.0), triton.grpc_url) as made:
        yield made
