"""The offline store: nothing buffered is lost, doubles go, the forgotten are gone from the files too."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import lance
import pytest

from feature_repo.offline import OfflineBuffer
from feature_repo.schema import physical_views
from knowledge.base import TerminalError, TransientError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
VIEW = "user_history"


def row(user_id, rev, at=NOON, epoch=0, write_id=None, **values):
    return {
        "user_id": user_id,
        "event_timestamp": at,
        "created_timestamp": at,
        "history_item_ids": ["a"],
        "history_values": [1.0],
        "history_rev": rev,
        "source_rev": rev,
        "epoch": epoch,
        "write_id": write_id or f"{rev}:0:",
        **values,
    }


def rows_of(buffer, view=VIEW):
    return lance.dataset(str(buffer.path(view))).to_table().to_pylist()


class Watch:
    """A monotonic clock that stands still."""

    at = 0.0

    def __call__(self):
        return self.at


def test_rows_wait_until_there_are_enough_of_them(tmp_path):
    buffer = OfflineBuffer(tmp_path, flush_rows=3, flush_s=1e9)
    buffer.create()
    buffer.append(VIEW, [row("1", 1), row("1", 2)])
    assert rows_of(buffer) == []
    buffer.append("user_knowledge", [{"user_id": "1", "event_timestamp": NOON}])
    assert len(rows_of(buffer)) == 2
    assert len(rows_of(buffer, "user_knowledge")) == 1


def test_rows_wait_no_longer_than_their_time(tmp_path):
    watch = Watch()
    buffer = OfflineBuffer(tmp_path, flush_s=1.0, now=watch)
    buffer.create()
    buffer.append(VIEW, [row("1", 1)])
    watch.at = 0.9
    buffer.append(VIEW, [row("1", 2)])
    assert rows_of(buffer) == []
    watch.at = 1.0
    buffer.append(VIEW, [row("1", 3)])
    assert [r["source_rev"] for r in rows_of(buffer)] == [1, 2, 3]


def test_flush_leaves_nothing_behind(tmp_path):
    buffer = OfflineBuffer(tmp_path)
    buffer.append(VIEW, [row("1", 1)])
    buffer.append("user_knowledge", [{"user_id": "1", "event_timestamp": NOON}])
    buffer.flush()
    buffer.flush()
    assert len(rows_of(buffer)) == len(rows_of(buffer, "user_knowledge")) == 1


def test_a_failed_flush_keeps_its_rows(tmp_path):
    buffer = OfflineBuffer(tmp_path / "offline")
    (tmp_path / "offline").write_text("a file where the folder should be")
    buffer.append(VIEW, [row("1", 1)])
    with pytest.raises(TransientError) as error:
        buffer.flush()
    assert error.value.reason == "offline_unavailable"
    (tmp_path / "offline").unlink()
    buffer.close()
    assert [r["source_rev"] for r in rows_of(buffer)] == [1]


def test_every_view_has_a_data_set_with_its_own_features(tmp_path):
    buffer = OfflineBuffer(tmp_path)
    buffer.create()
    buffer.create()
    names = [set(lance.dataset(str(buffer.path(view))).schema.names) for view in physical_views()]
    assert len(names) == 10
    assert all({"event_timestamp", "created_timestamp", "source_rev", "epoch", "write_id"} <= found for found in names)
    assert sum("state_json" in found for found in names) == 1


APPENDER = """
import sys; sys.modules["torch"] = None
from pathlib import Path
from datetime import UTC, datetime
from feature_repo.offline import OfflineBuffer
folder, who = sys.argv[1:]
buffer = OfflineBuffer(Path(folder), flush_rows=1)
for rev in range(40):
    now = datetime.now(UTC)
    buffer.append("user_history", [{"user_id": who, "event_timestamp": now, "created_timestamp": now,
                                    "source_rev": rev, "epoch": 0, "write_id": f"{rev}:0:"}])
"""


@pytest.mark.slow
def test_several_processes_append_and_a_compactor_works_and_nothing_is_lost(tmp_path):
    buffer = OfflineBuffer(tmp_path)
    workers = [subprocess.Popen([sys.executable, "-c", APPENDER, str(tmp_path), who]) for who in ("a", "b", "c")]
    while any(worker.poll() is None for worker in workers):
        if buffer.path(VIEW).exists():
            buffer.compact(VIEW, keep_versions_s=60)
        workers[0].poll() or threading.Event().wait(0.2)
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    buffer.compact(VIEW)
    assert sorted((r["user_id"], r["source_rev"]) for r in rows_of(buffer)) == [
        (who, rev) for who in ("a", "b", "c") for rev in range(40)
    ]


def test_compaction_removes_doubles_and_nothing_else(tmp_path):
    buffer = OfflineBuffer(tmp_path, flush_rows=1)
    later = NOON + timedelta(microseconds=1)
    kept = [
        row("1", 1),
        row("1", 2),  # another rev at the same time
        row("1", 1, at=later),  # another time
        row("1", 1, write_id="1:1:"),  # another generation
        row("2", 1),  # another user
        row("3", None, source_rev=None, write_id=None) | {"write_id": None},  # pushed by another team, twice
        row("3", None, source_rev=None, write_id=None) | {"write_id": None},
    ]
    for each in [row("1", 1, state_json="first"), *kept, row("1", 1, state_json="last")]:
        buffer.append(VIEW, [each])
    done = buffer.compact(VIEW, keep_versions_s=0)
    assert (done.doubles_removed, done.rows, done.fragments_after) == (2, 7, 1)
    assert done.versions_removed > 0
    states = [r["state_json"] for r in rows_of(buffer) if (r["user_id"], r["write_id"]) == ("1", "1:0:")]
    assert sorted(states, key=str) == ["None", "last"] or sorted(map(str, states)) == ["None", "last"]
    assert buffer.compact(VIEW).doubles_removed == 0


def test_compacting_everything_reaches_every_view_that_exists(tmp_path):
    buffer = OfflineBuffer(tmp_path, flush_rows=1)
    assert buffer.compact_all() == {}
    for _ in range(2):
        buffer.append(VIEW, [row("1", 1)])
    done = buffer.compact_all(keep_versions_s=0)
    assert set(done) == set(physical_views())
    assert {view: each.doubles_removed for view, each in done.items() if each.doubles_removed} == {VIEW: 1}


def test_two_compactors_do_not_work_on_one_data_set(tmp_path):
    import fcntl

    buffer = OfflineBuffer(tmp_path)
    buffer.create()
    with buffer.path(VIEW).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TransientError, match="being compacted"):
            buffer.compact(VIEW)


def test_a_deleted_user_is_gone_from_the_files_after_a_purge(tmp_path):
    buffer = OfflineBuffer(tmp_path, flush_rows=1)
    for n in range(30):
        buffer.append(VIEW, [row(f"user-{n}-secret", 1)])
    buffer.delete("user", ["user-7-secret"])
    assert buffer.newest(VIEW, "user-7-secret") is None
    buffer.compact(VIEW, keep_versions_s=0, purge=True)
    files = [path.read_bytes() for path in buffer.path(VIEW).rglob("*") if path.is_file()]
    assert not any(b"user-7-secret" in data for data in files)
    assert any(b"user-8-secret" in data for data in files)
    assert len(rows_of(buffer)) == 29


def test_deletion_reaches_rows_that_are_still_buffered(tmp_path):
    buffer = OfflineBuffer(tmp_path)
    buffer.append(VIEW, [row("1", 1), row("2", 1), row("1", 1, epoch=1)])
    buffer.delete("user", ["1"], below_epoch=1)
    buffer.flush()
    assert [(r["user_id"], r["epoch"]) for r in rows_of(buffer)] == [("2", 0), ("1", 1)]
    buffer.append(VIEW, [row("1", 2, epoch=1)])
    buffer.delete("user", ["1"])
    buffer.delete("user", [])
    buffer.flush()
    assert [r["user_id"] for r in rows_of(buffer)] == ["2"]


def test_an_id_cannot_carry_a_condition_into_the_deletion(tmp_path):
    buffer = OfflineBuffer(tmp_path)
    for call in (lambda: buffer.delete("user", ["1' OR '1'='1"]), lambda: buffer.newest(VIEW, "' OR true --")):
        buffer.create()
        with pytest.raises(TerminalError, match="is not an id"):
            call()


def test_the_newest_row_is_that_of_the_newest_life_and_rev_not_of_the_newest_time(tmp_path):
    buffer = OfflineBuffer(tmp_path)
    assert buffer.newest(VIEW, "1") is None
    hour = timedelta(hours=1)
    pushed = row("1", None, at=NOON + 3 * hour, source_rev=None, epoch=None)
    buffer.append(VIEW, [row("1", 9, at=NOON + hour), row("1", 3, epoch=1), row("1", 10), pushed, row("2", 99)])
    buffer.flush()
    newest = buffer.newest(VIEW, "1")
    assert (newest["epoch"], newest["source_rev"]) == (1, 3)
