"""The rendered repository, and what importing the room costs."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from feast.infra.online_stores.redis import RedisOnlineStore

import feature_repo
from feature_repo import repo, schema
from feature_repo.settings import FeatureSettings
from knowledge.base import TerminalError

ROOM = Path(feature_repo.__file__).parent


def settings_in(folder, **changes):
    return FeatureSettings(
        **{
            "namespace": "shop",
            "redis_url": "redis://127.0.0.1:6399/2",
            "offline_dir": folder / "offline",
            "registry_path": folder / "deep" / "registry.db",
            "feast_repo": folder / "repo",
        }
        | changes
    )


def test_the_rendered_file_holds_literal_absolute_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = {"offline_dir": Path("offline"), "registry_path": Path("registry.db"), "feast_repo": Path("repo")}
    target = repo.render(settings_in(tmp_path, **relative))
    config = yaml.safe_load(target.read_text())
    assert config["project"] == "shop"
    assert config["registry"]["path"] == str(tmp_path / "registry.db")
    assert config["offline_store"]["folder"] == str(tmp_path / "offline")
    assert config["online_store"]["connection_string"] == "127.0.0.1:6399,db=2"
    assert config["entity_key_serialization_version"] == 3
    assert "$" not in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_the_active_slot_stays_until_another_is_named(tmp_path):
    def slot(*arguments):
        return yaml.safe_load(repo.render(settings_in(tmp_path), *arguments).read_text())["reki"]["active_slot"]

    assert [slot(), slot("green"), slot(), slot("blue")] == ["blue", "green", "green", "blue"]
    with pytest.raises(TerminalError, match="active slot"):
        slot("red")


def test_the_ranking_service_follows_the_active_slot(tmp_path):
    from feast import FeatureStore

    repo.apply(settings_in(tmp_path), "green")
    service = FeatureStore(repo_path=str(tmp_path / "repo")).get_feature_service("ranking")
    views = {projection.name for projection in service.feature_view_projections}
    assert views == {"user_history", "user_experienced_green", "user_expected_green", "item_vector_green"}


@pytest.mark.parametrize(
    "old", [b"reki: [", b"\xff\xfe\x00", b"", b"just text", b"reki: 5", b"reki: {active_slot: red}", b"[" * 100_000]
)
def test_a_corrupted_generated_file_is_written_anew(tmp_path, old):
    target = repo.render(settings_in(tmp_path))
    good = target.read_text()
    target.write_bytes(old)
    assert repo.render(settings_in(tmp_path)).read_text() == good


MY_VIEWS = """
import pandas as pd
from pathlib import Path
from definitions import user
from feast import FeatureView, Field, FileSource, PushSource
from feast.types import Float64, String

rows = Path(__file__).with_name("my_rows.parquet")
if not rows.exists():
    now = pd.Timestamp("2026-01-01", tz="UTC")
    pd.DataFrame({"user_id": ["u1"], "spend": [9.5], "event_timestamp": [now]}).to_parquet(rows)
source = PushSource(name="my_spend_push", batch_source=FileSource(path=str(rows), timestamp_field="event_timestamp"))
my_spend = FeatureView(
    name="my_spend",
    entities=[user],
    schema=[Field(name="user_id", dtype=String), Field(name="spend", dtype=Float64)],
    source=source,
)
"""


@pytest.mark.parametrize("name", ["a_first.py", "my_views.py", "ours/views.py"])
def test_a_teams_own_file_is_applied_as_feast_would_and_stays(tmp_path, name):
    from feast import FeatureStore

    settings = settings_in(tmp_path)
    mine = repo.render(settings).parent / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text(MY_VIEWS)
    for _ in range(2):
        repo.apply(settings)
        store = FeatureStore(repo_path=str(tmp_path / "repo"))
        assert {"my_spend", "user_history"} <= {view.name for view in store.list_feature_views()}
        assert "my_spend_push" in {source.name for source in store.list_data_sources()}
    other = settings_in(tmp_path, registry_path=tmp_path / "demo" / "registry.db")
    repo.apply(other)  # as `reki demo` does beside `reki up`
    assert FeatureStore(repo_path=str(tmp_path / "repo")).get_feature_view("my_spend")
    assert not {"definitions", "my_views", "a_first"} & set(sys.modules)


@pytest.mark.parametrize("text", ["this is no python", "raise RuntimeError('on import')", "import nowhere_to_be_found"])
def test_a_broken_file_is_named_in_one_sentence(tmp_path, text):
    settings = settings_in(tmp_path)
    folder = repo.render(settings).parent
    (folder / "my_views.py").write_text(text)
    with pytest.raises(TerminalError, match=r"my_views\.py cannot be imported") as refused:
        repo.apply(settings)
    assert refused.value.reason == "bad_definitions"
    assert "\n" not in refused.value.message
    (folder / ".feastignore").write_text("my_views.py\n")
    repo.apply(settings)  # the advice of the message holds, also the next time
    repo.apply(settings)


@pytest.mark.parametrize(
    ("url", "host", "options"),
    [
        ("redis://10.0.0.1:7000/3", {"host": "10.0.0.1", "port": "7000"}, {"db": 3}),
        ("rediss://cache", {"host": "cache", "port": "6379"}, {"db": 0, "ssl": True}),
        ("redis://:123@h:1", {"host": "h", "port": "1"}, {"db": 0, "password": "123"}),
        ("redis://me:a%3Db%22@h:1/1", {"host": "h", "port": "1"}, {"db": 1, "username": "me", "password": 'a=b"'}),
    ],
)
def test_feast_reads_the_connection_as_it_was_meant(url, host, options):
    parse = RedisOnlineStore._parse_connection_string  # noqa: SLF001 - what Feast itself makes of it
    assert parse(repo.connection_string(url)) == ([host], options)


@pytest.mark.parametrize("url", ["redis://[::1]:6379", "redis://:a%2Cb@h", "redis://:a$HOME@h"])
def test_a_connection_that_feast_would_misread_is_refused(url):
    with pytest.raises(TerminalError) as refused:
        repo.connection_string(url)
    assert refused.value.reason == "bad_redis_url"


@pytest.mark.parametrize("bad", [{"namespace": "Shop"}, {"namespace": "a-b"}, {"redis_url": "127.0.0.1:6379"}])
def test_settings_that_would_break_keys_are_refused(tmp_path, bad):
    with pytest.raises(ValueError, match=r"looks like|namespace is"):
        settings_in(tmp_path, **bad)


def test_feast_imports_the_definitions_alone():
    ignored = {line for line in (ROOM / ".feastignore").read_text().splitlines() if line and line[0] != "#"}
    assert {path.name for path in ROOM.glob("*.py")} - ignored == {"definitions.py"}


def test_feature_names_are_unique_across_all_views():
    names = [view.feature(f.name, slot) for view, slot in schema.physical_views().values() for f in view.features]
    assert len(names) == len(set(names))


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_schema_settings_and_records_import_neither_feast_nor_torch():
    done = python(
        "import sys, feature_repo, feature_repo.schema, feature_repo.settings, feature_repo.records\n"
        "import feature_repo.repo\n"
        "assert not {'feast', 'torch', 'lance', 'pandas'} & set(sys.modules)"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_stream_worker_needs_no_torch():
    done = python(
        "import sys; sys.modules['torch'] = None\n"
        "import feature_repo.writer, feature_repo.reader, feature_repo.offline, feature_repo.consistency\n"
        "import feature_repo.lance_store"
    )
    assert done.returncode == 0, done.stderr
