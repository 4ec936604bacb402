"""What plain Feast sees: the contract with everybody who does not use our code."""

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feast.data_source import PushMode
from feast.errors import FeastPermissionError
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore
from feast.permissions.action import AuthzedAction
from feast.permissions.enforcer import enforce_policy
from feast.permissions.user import User
from feature_rows import expected, experienced, history, item, item_vector, knowledge, user, vector

from feature_repo import schema
from feature_repo.lance_source import BOOKKEEPING
from feature_repo.records import Outcome
from knowledge.base import micros
from reki.paths import ROOT

pytestmark = pytest.mark.services

VEC = "user_experienced_blue:experienced_vec_blue"
STATS = "user_experienced_blue:experienced_stats_blue"


def online(bench, features, **ids):
    ((name, values),) = ids.items()
    return bench.store.get_online_features(features, [{name: value} for value in values])


def test_plain_feast_reads_exactly_what_the_writer_wrote(feast_bench):
    (answers,) = feast_bench.writer.write([user("exact", history(4), knowledge(4), experienced(4), expected(4))])
    names = [
        f"{view.physical(slot)}:{view.feature(feature.name, slot)}"
        for view, slot in schema.physical_views().values()
        if view.entity == "user" and slot != "green"
        for feature in view.features
    ]
    response = online(feast_bench, names, user_id=["exact"])
    read = {name: values[0] for name, values in response.to_dict().items()}
    assert np.asarray(read["experienced_vec_blue"], np.float32).tobytes() == vector(4, 288).tobytes()
    assert np.asarray(read["expected_anchors_blue"], np.float32).tobytes() == vector(5, schema.ANCHORS).tobytes()
    assert read["history_item_ids"] == ["i4", "i0"]
    assert read["knowledge_factors"] == '{"genre": "drama é"}'
    assert (read["history_rev"], read["expected_release_blue"]) == (4, "r1")
    times = {
        field: response.proto.results[n].event_timestamps[0].ToMicroseconds()
        for n, field in enumerate(response.proto.metadata.feature_names.val)
    }
    assert times["history_rev"] == micros(answers[0].event_time)
    assert times["expected_rev_blue"] == micros(answers[3].event_time)


def test_our_own_fields_are_nothing_to_feast(feast_bench):
    feast_bench.writer.write([user("extra", history(4))])
    fields = feast_bench.fields("user", "extra")
    assert {b"_rev:user_history", b"_wid:user_history", b"_us:user_history"} <= set(fields)
    names = [f"user_history:{feature.name}" for feature in schema.USER_HISTORY.features]
    before = online(feast_bench, names, user_id=["extra"]).to_dict()
    assert set(before) == {"user_id"} | {feature.name for feature in schema.USER_HISTORY.features}
    key = feast_bench.keys.row_key("user", "extra")
    feast_bench.client.hdel(key, *(field for field in fields if field.startswith((b"_rev", b"_wid", b"_us"))))
    assert online(feast_bench, names, user_id=["extra"]).to_dict() == before


def test_an_unknown_user_reads_as_none(feast_bench):
    read = online(feast_bench, [VEC, "user_history:history_rev"], user_id=["nobody"]).to_dict()
    assert (read["experienced_vec_blue"], read["history_rev"]) == ([None], [None])


def test_the_services_read_in_one_call(feast_bench):
    feast_bench.writer.write([user("served", history(1), knowledge(1)), item("served", item_vector(1))])
    store = feast_bench.store
    ranking = store.get_feature_service("ranking")
    views = {projection.name for projection in ranking.feature_view_projections}
    assert views == {"user_history", "user_experienced_blue", "user_expected_blue", "item_vector_blue"}
    assert not views & {view.name for view in schema.VIEWS if view.personal}
    read = store.get_online_features(ranking, [{"user_id": "served", "item_id": "served"}]).to_dict()
    assert read["history_rev"] == [1]
    assert len(read["item_vec_blue"][0]) == schema.FACTORS * schema.DIM
    texts = store.get_feature_service("knowledge")
    read = store.get_online_features(texts, [{"user_id": "served", "item_id": "served"}]).to_dict()
    assert read["knowledge_model"] == ["recorded-llm"]


def three_versions(bench, user_id):
    times = []
    for rev in (1, 2, 3):
        (answers,) = bench.writer.write([user(user_id, experienced(rev), history(rev))])
        times.append(answers[0].event_time)
        time.sleep(0.002)
    bench.writer.flush()
    return times


def test_history_gives_the_vector_as_of_a_past_time(feast_bench):
    first, second, third = three_versions(feast_bench, "past")
    microsecond = timedelta(microseconds=1)
    asked = pd.DataFrame(
        {
            "user_id": ["past", "past", "past", "nobody", "past"],
            "event_timestamp": [third, first, second - microsecond, third, first - microsecond],
            "row": range(5),
        }
    )
    read = feast_bench.store.get_historical_features(asked, [VEC, "user_history:history_rev"]).to_df()
    assert read["row"].tolist() == [0, 1, 2, 3, 4]
    assert [None if pd.isna(rev) else int(rev) for rev in read["history_rev"]] == [3, 1, 1, None, None]
    for got, rev in zip(read["experienced_vec_blue"][:3], (3, 1, 1), strict=True):
        assert np.asarray(got, np.float32).tobytes() == vector(rev, 288).tobytes()


@pytest.mark.parametrize("created_cut_off", [False, True])
def test_our_join_answers_as_feasts_own(feast_bench, created_cut_off):
    times = three_versions(feast_bench, f"same-{created_cut_off}")
    asked = pd.DataFrame({"user_id": f"same-{created_cut_off}", "event_timestamp": times, "row": range(3)})
    store = feast_bench.store
    arguments = {
        "features": [STATS, "user_history:history_rev"],
        "full_feature_names": True,
        "filter_by_created_timestamp": created_cut_off,
    }
    ours = store.get_historical_features(asked, **arguments).to_df()
    views = [store.get_feature_view(name) for name in ("user_experienced_blue", "user_history")]
    theirs = DuckDBOfflineStore.get_historical_features(
        config=store.config,
        feature_views=views,
        feature_refs=arguments["features"],
        entity_df=asked.copy(),
        registry=store.registry,
        project=store.project,
        full_feature_names=True,
        filter_by_created_timestamp=created_cut_off,
    ).to_df()
    columns = sorted(ours.columns)
    assert columns == sorted(theirs.columns)
    ours, theirs = (frame.sort_values("row")[columns].reset_index(drop=True) for frame in (ours, theirs))
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)


def pushed(user_id, **changes):
    now = datetime.now(UTC)
    row = {
        "user_id": user_id,
        "event_timestamp": now,
        "created_timestamp": now,
        "experienced_vec_blue": vector(7, 288).tolist(),
        "experienced_stats_blue": [1.0, 2.0, 3.0, 4.0],
        "experienced_rev_blue": 1,
        "experienced_release_blue": "theirs",
        "experienced_written_at_blue": micros(now),
    }
    return pd.DataFrame([row | changes])


def test_another_teams_push_reaches_both_stores(feast_bench):
    frame = pushed("pushed")
    feast_bench.store.push("user_experienced_blue_push", frame, to=PushMode.ONLINE_AND_OFFLINE)
    assert not set(frame.columns) & set(BOOKKEEPING)
    read = online(feast_bench, [VEC], user_id=["pushed"]).to_dict()
    assert np.asarray(read["experienced_vec_blue"][0], np.float32).tobytes() == vector(7, 288).tobytes()
    asked = pd.DataFrame({"user_id": ["pushed"], "event_timestamp": [datetime.now(UTC)]})
    read = feast_bench.store.get_historical_features(asked, [VEC]).to_df()
    assert np.asarray(read["experienced_vec_blue"][0], np.float32).tobytes() == vector(7, 288).tobytes()


def test_a_plain_push_is_ordered_by_time_alone_and_our_next_write_by_rev(feast_bench):
    feast_bench.writer.write([user("both", experienced(9))])
    feast_bench.store.push("user_experienced_blue_push", pushed("both"), to=PushMode.ONLINE)
    assert online(feast_bench, [STATS], user_id=["both"]).to_dict()["experienced_stats_blue"] == [[1.0, 2.0, 3.0, 4.0]]
    (answers,) = feast_bench.writer.write([user("both", experienced(8)), user("both", experienced(10))])[1:]
    assert answers[0].outcome is Outcome.WRITTEN
    assert feast_bench.reader.revs("user_experienced", ["both"], "blue") == [10]
    assert online(feast_bench, [STATS], user_id=["both"]).to_dict()["experienced_stats_blue"][0][3] == 10.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"event_timestamp": datetime(2026, 1, 1)}, "without a zone"),
        ({"experienced_vec_blue": [1.0]}, "needs vectors of 288"),
        ({"experienced_stats_blue": [1.0, 2.0, 3.0, float("nan")]}, "not finite"),
        ({"event_timestamp": pd.NaT}, "event_timestamp"),
    ],
)
def test_a_push_that_could_not_be_read_back_is_refused_offline(feast_bench, changes, says):
    with pytest.raises(ValueError, match=says):
        feast_bench.store.push("user_experienced_blue_push", pushed("refused", **changes), to=PushMode.OFFLINE)
    assert feast_bench.offline.newest("user_experienced_blue", "refused") is None


def test_materialize_fills_an_empty_online_store(feast_bench):
    times = three_versions(feast_bench, "restored")
    feast_bench.client.delete(feast_bench.keys.row_key("user", "restored"))
    feast_bench.store.materialize(
        times[0] - timedelta(seconds=1), times[-1] + timedelta(seconds=1), feature_views=["user_experienced_blue"]
    )
    read = online(feast_bench, [VEC], user_id=["restored"]).to_dict()
    assert np.asarray(read["experienced_vec_blue"][0], np.float32).tobytes() == vector(3, 288).tobytes()


def allowed(bench, role, thing, action):
    who = User(username="someone", roles=[role] if role else [])
    try:
        return bool(enforce_policy(bench.store.list_permissions(), who, [thing], [action]))
    except FeastPermissionError:
        return False


def test_permissions_deny_what_they_do_not_allow(feast_bench):
    store, read, write = feast_bench.store, AuthzedAction.READ_ONLINE, AuthzedAction.WRITE_ONLINE
    texts, vectors = store.get_feature_view("user_knowledge"), store.get_feature_view("user_history")
    service = store.get_feature_service("knowledge")
    for thing in (texts, vectors, service, store.get_entity("user"), store.get_data_source("user_history_push")):
        for action in AuthzedAction:
            assert not allowed(feast_bench, None, thing, action)
    assert allowed(feast_bench, "reki_reader", vectors, read)
    assert not allowed(feast_bench, "reki_reader", texts, read)
    assert not allowed(feast_bench, "reki_reader", service, AuthzedAction.READ_OFFLINE)
    assert not allowed(feast_bench, "reki_reader", vectors, write)
    assert allowed(feast_bench, "reki_personal", texts, read)
    assert allowed(feast_bench, "reki_writer", texts, write)
    assert not allowed(feast_bench, "reki_writer", vectors, AuthzedAction.DELETE)
    assert allowed(feast_bench, "reki_admin", vectors, AuthzedAction.DELETE)


PLAIN = """
from feast import FeatureStore
store = FeatureStore("repo")
read = store.get_online_features(["user_history:history_rev"], [{"user_id": "plain"}]).to_dict()
assert read["history_rev"] == [5], read
"""


def started(command, folder):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "PATH": path}, stdout=pipe, stderr=pipe, text=True)


def output(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert "nanobind" not in err  # duckdb's leak lines at exit
    return out


def test_plain_feast_commands_and_scripts_work_inside_and_outside_the_folder(feast_bench):
    feast_bench.writer.write([user("plain", history(5))])
    repo = feast_bench.settings.feast_repo
    assert "Applying changes for project contract" in output(started(["feast", "apply"], repo))
    assert "Applying changes for project contract" in output(started(["feast", "-c", repo.name, "apply"], repo.parent))
    running = [  # together: most of their time is the import of Feast
        started(["feast", "feature-views", "list"], repo),
        started(["feast", "entities", "list"], repo),
        started([sys.executable, "-c", PLAIN], repo.parent),
    ]
    views, entities, _ = map(output, running)
    assert all(view in views for view in schema.physical_views())
    assert {"user", "item"} <= set(entities.split())


def test_the_examples_of_the_documentation_run_as_they_stand(feast_bench, monkeypatch):
    feast_bench.writer.write([user("196", history(5), experienced(5)), item("242", item_vector(5))])
    feast_bench.writer.flush()
    folder = feast_bench.settings.feast_repo
    monkeypatch.chdir(folder.parent)
    (folder.parent / "feature_repo").symlink_to(folder)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs/features.md").read_text(), re.DOTALL):
        exec(block, names)  # noqa: S102 - our own page
    assert names["row"]["history_item_ids"] == [["i5", "i0"]]
    assert len(names["everything"]["item_vec_blue"][0]) == schema.FACTORS * schema.DIM
    assert len(names["past"]["experienced_vec_blue"][0]) == 2 * schema.FACTORS * schema.DIM
    assert feast_bench.offline.newest("item_profile", "242")["item_title"] == "Kolya (1996)"
