"""The append-only store of bulk knowledge."""

import stat
from datetime import UTC, datetime

import pytest

from knowledge.base import Knowledge, TerminalError
from knowledge.store import KnowledgeStore, Stored
from knowledge.store_lines import line_of

AT = datetime(2026, 1, 1, tzinfo=UTC)


def stored(user, text="warm", prompt_hash="a" * 64):
    knowledge = Knowledge(
        entity="user",
        entity_id=user,
        factors={"genre": text},
        mode="individual",
        model="m",
        template_version="t",
        catalogue_version="c",
        source_rev=1,
        generated_at=AT,
    )
    return Stored(knowledge, prompt_hash)


LINE = line_of(stored("b", prompt_hash=None)).strip()


@pytest.fixture
def store(tmp_path):
    return KnowledgeStore(tmp_path / "knowledge")


def texts(store):
    return {one.knowledge.entity_id: one.knowledge.factors["genre"] for one in store.newest("user")}


def test_the_newest_record_counts_and_the_same_again_is_not_written(store):
    with store:
        assert store.append(stored("a", "one"))
        assert not store.append(stored("a", "one"))
        assert store.append(stored("a", "two"))
        assert store.append(stored("b"))
    assert texts(store) == {"a": "two", "b": "warm"}
    with store:
        assert not store.append(stored("a", "two"))
    assert len((store.folder / "users.jsonl").read_text().splitlines()) == 3
    assert stat.S_IMODE((store.folder / "users.jsonl").stat().st_mode) == 0o600


def test_half_a_line_of_a_killed_writer_is_neither_read_nor_kept(store):
    with store:
        store.append(stored("a"))
    with (store.folder / "users.jsonl").open("ab") as file:
        file.write(b'{"prompt_hash":"x","knowle')
    assert texts(store) == {"a": "warm"}
    with store:
        store.append(stored("b"))
    assert texts(store) == {"a": "warm", "b": "warm"}


def test_two_writers_at_once_are_one_too_many(store):
    with store, pytest.raises(TerminalError, match="another command is writing"):
        KnowledgeStore(store.folder).__enter__()


def test_a_user_forgotten_during_a_run_is_gone_for_readers_at_once_and_from_the_file_at_its_end(store):
    with store:
        store.append(stored("a"))
        store.append(stored("b", prompt_hash="b" * 64))
        store.sync()
        other = KnowledgeStore(store.folder)
        assert other.forget(["b"]) == ["b" * 64]
        assert texts(other) == {"a": "warm"}
        assert other.get("user", "b") is None
        store.append(stored("c"))
    assert texts(store) == {"a": "warm", "c": "warm"}
    assert '"b"' not in (store.folder / "users.jsonl").read_text()
    with store:
        assert store.append(stored("b", "a new life"))  # may be learned again
    assert texts(store)["b"] == "a new life"


def test_users_are_forgotten_with_the_names_of_all_their_answers_and_ids_may_be_names_of_folders(store):
    with store:
        store.append(stored("a"))
        store.append(stored("b", "older", prompt_hash="b" * 64))
        store.append(stored("b", prompt_hash="c" * 64))
        store.append(stored("."))
    assert store.forget(["b", "."]) == ["b" * 64, "c" * 64, "a" * 64]
    assert texts(store) == {"a": "warm"}
    assert store.forget([]) == []


def test_a_line_that_is_no_record_is_said_and_not_passed_over(store):
    with store:
        store.append(stored("a"))
    with (store.folder / "users.jsonl").open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(TerminalError, match="holds a line that is no record"):
        texts(store)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[" * 300_000,
        b"\xff",
        b'{"prompt_hash":null,"knowledge":{"entity_id":"b"}}',
        LINE.replace(b"null", b"5"),
        LINE.replace(b'"user"', b'"item"'),
        LINE.replace(b"00:00Z", b"00:00"),
        LINE.replace(b"2026-01-01T00:00:00Z", b"0001-01-01T00:00:00+14:00"),
        LINE.replace(b'"b"', b'"b b"'),
    ],
    ids=range(9),
)
def test_every_reader_and_writer_says_which_line_is_no_record(store, line):
    with store:
        store.append(stored("a"))
    with (store.folder / "users.jsonl").open("ab") as file:
        file.write(line + b"\n")
    for use in (
        lambda: texts(store),
        lambda: store.get("user", "a"),
        lambda: store.get("user", "b"),
        lambda: store.ids("user"),
        store.__enter__,
    ):
        with pytest.raises(TerminalError, match=r"users\.jsonl:2 holds a line that is no record") as caught:
            use()
        assert caught.value.reason == "bad_store"
