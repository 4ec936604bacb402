"""Nothing of a forgotten user is left, or comes back, whatever state the files are in."""

import errno
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from encoders.cluster_files import load_clusters, write_clusters
from encoders.clusters import build_clusters
from knowledge.base import RekiError, TerminalError, TransientError
from knowledge.cache import AnswerCache, CachedAnswer
from knowledge.collective import ClusterKnowledge, CollectiveStore
from knowledge.prompt_index import PromptIndex
from knowledge.store import KnowledgeStore
from reki.knowledge.folder import FolderSubjects
from reki.knowledge.forgetting import UserEraser, forget_again, forget_user
from reki.knowledge.opened import Opened
from reki.settings import load_settings
from tests.knowledge_cli.test_knowledge_store import AT, stored, texts

FED, OWN = "f" * 64, "a" * 64


@pytest.fixture
def cache(tmp_path):
    return AnswerCache(tmp_path / "answers")


@pytest.fixture
def folder(tmp_path, cache):
    """User u1 and others: a stored record, clusters and their answers, cached answers about both."""
    folder = tmp_path / "knowledge"
    with KnowledgeStore(folder) as store:
        for user in ("u1", "u2", "u3"):
            store.append(stored(user, prompt_hash=OWN if user == "u1" else None))
    for key in (FED, OWN):
        cache.put(key, CachedAnswer({}, "m", AT, 1, 0, 1))
    clusters = build_clusters(
        [f"u{n}" for n in range(40)],
        np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32),
        2,
        entity="user",
        representation="test",
    )
    write_clusters(folder / "clusters" / "user", clusters)
    CollectiveStore(folder / "clusters" / "user" / "answers" / "v.jsonl").add(cluster())
    return folder


def cluster(fed=("u1", "u2"), **named):
    known = {"entity": "user", "cluster": 0, "clusters_version": "v", "size": 20, "factors": {"genre": "warm"}}
    made = {"model": "m", "template_version": "t", "catalogue_version": "c", "generated_at": AT, "prompt_hash": FED}
    return ClusterKnowledge(**{**known, **made, "fed": fed, **named})


def naming(folder, word="u1"):
    """Files that hold the id as a word."""
    found = [path for path in folder.rglob("*") if path.is_file() and f'"{word}"'.encode() in path.read_bytes()]
    return sorted(str(path.relative_to(folder)) for path in found)


def members(folder):
    [path] = (folder / "clusters" / "user").glob("*/members.json")
    return path


def test_a_user_leaves_store_clusters_and_cache_and_nobody_else_does(folder, cache):
    done = forget_user(folder, cache, "u1")
    assert (done.was_stored, done.answers, done.stale) == (True, 2, 1)
    assert naming(folder) == []
    assert set(texts(KnowledgeStore(folder))) == {"u2", "u3"}
    assert "u2" in load_clusters(members(folder).parent).members
    done = forget_user(folder, cache, "u1")
    assert (done.was_stored, done.answers, done.stale) == (False, 0, 0)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in folder.rglob("*")} == {0}


def bad_line(line):
    def damage(folder):
        with (folder / "users.jsonl").open("ab") as file:
            file.write(line + b"\n")

    return damage


def clusters_damaged(folder):
    (members(folder).parent / "clusters.safetensors").write_bytes(b"x")


def clusters_half_written(folder):
    (members(folder).parent / "clusters.json").unlink()


def members_unreadable(folder):
    members(folder).write_bytes(members(folder).read_bytes()[:-5])


def members_deep(folder):
    members(folder).write_text('{"u1":' + "[" * 300_000)


def members_draft(folder):
    (members(folder).parent / ".members.json.999999999").write_bytes(members(folder).read_bytes())


def answers_damaged(folder):
    path = folder / "clusters" / "user" / "answers" / "v.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"size":20', b'"size":"many"') + b"{}\n" + b'{"fed":["u1"')


def answers_draft(folder):
    path = folder / "clusters" / "user" / "answers" / "v.jsonl"
    path.with_name(".v.jsonl.999999999").write_bytes(path.read_bytes())


def hash_of_another_kind(folder):
    path = folder / "users.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"prompt_hash":null', b'"prompt_hash":5'))


@pytest.mark.parametrize(
    "damage",
    [
        bad_line(b"{}"),
        bad_line(b"\xff\xfe"),
        bad_line(b"[" * 300_000),
        bad_line(b'{"prompt_hash":null,"knowledge":{"entity_id":"u1"'),
        bad_line(b'{"prompt_hash":7,"knowledge":{"entity_id":"u1"}}'),
        clusters_damaged,
        clusters_half_written,
        members_unreadable,
        members_deep,
        members_draft,
        answers_damaged,
        answers_draft,
        hash_of_another_kind,
    ],
    ids=lambda damage: damage.__name__,
)
def test_no_damage_keeps_a_forgotten_user(folder, cache, damage):
    damage(folder)
    forget_user(folder, cache, "u1")
    assert naming(folder) == []
    assert (cache.get(FED), cache.get(OWN)) == (None, None)
    UserEraser(folder, cache).forget("u2")
    assert naming(folder, "u2") == []


def test_a_store_that_cannot_be_read_is_said_after_all_the_rest_is_done(folder, cache):
    (folder / "users.jsonl").unlink()
    (folder / "users.jsonl").mkdir()
    PromptIndex(cache).add("u1", OWN)
    with pytest.raises(TerminalError, match=r"users\.jsonl"):
        forget_user(folder, cache, "u1")
    assert naming(folder) == []
    assert (cache.get(FED), cache.get(OWN)) == (None, None)
    UserEraser(folder, cache).forget("u1")  # the stack's own forgetting goes on
    with pytest.raises(TerminalError, match="is a folder"), KnowledgeStore(folder):
        pass


@pytest.fixture
def full_disk(monkeypatch):
    """From now on nothing can be written to files of these names."""

    def fill(*names):
        write, fsync = os.write, os.fsync

        def refused(descriptor):
            name = os.readlink(f"/proc/self/fd/{descriptor}")
            return any(part in name for part in names)

        def writing(descriptor, data):
            if refused(descriptor):
                write(descriptor, data[:3])
                raise OSError(errno.EFBIG, "File too large")
            return write(descriptor, data)

        def syncing(descriptor):
            if refused(descriptor):
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(descriptor)

        monkeypatch.setattr(os, "write", writing)
        monkeypatch.setattr(os, "fsync", syncing)

    yield fill
    monkeypatch.undo()


def test_a_full_disk_is_told_and_hides_the_user_until_forgetting_is_done_again(folder, cache, full_disk, monkeypatch):
    full_disk("users.draft")
    with pytest.raises(TransientError, match="forget them again"):
        forget_user(folder, cache, "u1")
    assert KnowledgeStore(folder).get("user", "u1") is None
    assert (cache.get(FED), cache.get(OWN)) == (None, None)
    monkeypatch.undo()
    assert forget_user(folder, cache, "u1").was_stored
    assert naming(folder) == []


def test_a_full_disk_is_told_by_whoever_writes_and_leaves_what_was_there(folder, cache, full_disk):
    clusters = load_clusters(members(folder).parent)
    answers = folder / "clusters" / "user" / "answers" / "v.jsonl"
    before = {path: path.read_bytes() for path in (members(folder), answers, folder / "users.jsonl")}
    held, store = CollectiveStore(answers), KnowledgeStore(folder)
    full_disk("members", "clusters", "v.jsonl", "users.jsonl")
    for write, reason in (
        (lambda: write_clusters(folder / "clusters" / "user", clusters), "clusters_unwritable"),
        (lambda: held.add(cluster(cluster=1)), "collective_unwritable"),
        (lambda: held.forget("u1"), "collective_unwritable"),
        (lambda: append(store), "store_unwritable"),
    ):
        with pytest.raises(RekiError) as caught:
            write()
        assert caught.value.reason == reason
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in folder.rglob(".*") if path.name != ".lock"] == []


def append(store):
    with store:
        store.append(stored("u9"))


def test_a_user_forgotten_while_the_first_run_goes_on_is_not_taken(tmp_path, cache):
    with KnowledgeStore(tmp_path / "knowledge") as store:
        forget_user(store.folder, cache, "u1")
        assert not store.append(stored("u1"))
        assert store.is_leaving("u1")
        assert store.append(stored("u2"))
    assert texts(store) == {"u2": "warm"}
    with store:
        assert store.append(stored("u1", "a new life"))
    assert store.is_forgotten("u1", AT)
    assert not store.is_forgotten("u1", datetime.now(UTC) + timedelta(seconds=1))


def test_clusters_and_answers_that_a_run_writes_after_a_user_was_forgotten_lose_them_again(folder, cache):
    clusters, began = load_clusters(members(folder).parent), datetime.now(UTC)
    forget_user(folder, cache, "u1")
    write_clusters(folder / "clusters" / "user", clusters)
    CollectiveStore(folder / "clusters" / "user" / "answers" / "v.jsonl").add(cluster())
    cache.put(FED, CachedAnswer({}, "m", AT, 1, 0, 1))
    settings = load_settings(
        folder, {"REKI_DATA_DIR": str(folder.parent), "REKI_KNOWLEDGE_CACHE_DIR": str(cache.folder)}
    )
    subjects = FolderSubjects({}, {}, 100)
    forget_again(Opened(settings, subjects, False, datetime.now(UTC)))  # nobody was forgotten since
    assert len(naming(folder)) == 2
    forget_again(Opened(settings, subjects, False, began))
    assert naming(folder) == []
    assert cache.get(FED) is None
    assert "u2" in json.loads(members(folder).read_text())


@pytest.mark.slow
def test_a_worker_without_torch_and_scikit_learn_forgets_in_clusters_too(folder, tmp_path):
    code = f"""
import sys
sys.modules["torch"] = sys.modules["sklearn"] = None
from pathlib import Path
from knowledge.cache import AnswerCache
from reki.knowledge.forgetting import UserEraser
UserEraser(Path({str(folder)!r}), AnswerCache(Path({str(tmp_path / "answers")!r}))).forget("u1")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not naming(folder)


def test_a_fault_of_ours_does_not_keep_the_worker_from_going_on(folder, cache, monkeypatch, caplog):
    monkeypatch.setattr(KnowledgeStore, "forget", lambda *_: 1 / 0)
    UserEraser(folder, cache).forget("u1")
    assert "may still be in what bulk runs stored" in caplog.text
