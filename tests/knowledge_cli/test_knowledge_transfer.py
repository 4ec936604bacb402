"""Export, import, show and forget, as a person types them."""

import json
import stat
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from knowledge.cache import AnswerCache
from knowledge.store import KnowledgeStore
from reki.knowledge import transfer
from reki.knowledge.forgetting import UserEraser


@pytest.fixture
def store(tmp_path):
    return KnowledgeStore(tmp_path / "data" / "knowledge")


@pytest.fixture
def filled(reki, folder):
    """Four users and three items were asked about."""
    assert reki("generate", "users", "--from", folder, "--limit", "4")[0] == 0
    assert reki("generate", "items", "--from", folder, "--limit", "3")[0] == 0


def records(store):
    return {one.knowledge.entity_id: one.knowledge for kind in ("user", "item") for one in store.newest(kind)}


@pytest.mark.parametrize("name", ["all.jsonl", "all.parquet"])
def test_what_is_exported_comes_back_equal(reki, filled, store, environment, tmp_path, name):
    file = tmp_path / name
    code, out, err = reki("export", file)
    assert (code, out) == (0, f"7 records in {file}\n"), err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = records(store)
    assert before["u000"].expectations.likes
    environment["REKI_DATA_DIR"] = str(tmp_path / "other")
    code, out, err = reki("import", file)
    assert code == 0, err
    assert "7 records taken" in out
    assert records(KnowledgeStore(tmp_path / "other" / "knowledge")) == before
    assert "0 records taken" in reki("import", file)[1]  # again: they are there


def test_an_export_never_overwrites_a_file(reki, filled, tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text("mine")
    code, _, err = reki("export", file)
    assert code == 2
    assert "exists already" in err
    assert file.read_text() == "mine"


def test_nothing_to_export_leaves_no_file(reki, tmp_path):
    assert reki("export", tmp_path / "none.parquet")[0] == 2
    assert not list(tmp_path.glob("*none*"))


def spoilt(record, **changes):
    return json.dumps({**record, **changes})


def test_bad_lines_are_named_with_what_is_wrong_and_nothing_is_taken(reki, filled, store, tmp_path):
    file = tmp_path / "all.jsonl"
    assert reki("export", file, "--only", "users")[0] == 0
    lines = file.read_text().splitlines()
    one = json.loads(lines[0]) | {"entity_id": "new1"}
    two = json.loads(lines[1]) | {"entity_id": "new2"}
    expected = two["expectations"]
    wrong = {
        3: ("{", "not JSON"),
        4: ("[]", "not a JSON object"),
        5: (spoilt(one, entity_id="a b"), "entity_id"),
        6: (spoilt(one, factors={"smell": "nice"}), "no factor 'smell'"),
        7: (spoilt(one, factors={"genre": "see www.bad.example"}), "factors.genre: it has an address"),
        8: (spoilt(two, expectations=expected | {"dislikes": expected["likes"]}), "both liked and disliked"),
        9: (spoilt(two, expectations=expected | {"anchors": {"50": 9.0}}), "not from 1 to 5"),
        10: (spoilt(one, generated_at="2026-01-01T00:00:00"), "generated_at"),
        11: (spoilt(one, model="a|b"), "model: use"),
        12: (spoilt(one), "stands here twice"),
    }
    rows = [json.dumps(one), json.dumps(two), *(line for line, _ in wrong.values())]
    file.write_text("\n".join(rows) + "\n")
    before = records(store)
    code, _, err = reki("import", file)
    assert code == 2
    for number, (_, words) in wrong.items():
        [told] = [line for line in err.splitlines() if line.startswith(f"{file}:{number}: ")]
        assert words in told
    assert "nothing was taken: 10 bad" in err
    assert records(store) == before
    code, out, err = reki("import", file, "--skip-bad")
    assert code == 0, err
    assert "2 records taken" in out
    assert set(records(store)) == {*before, "new1", "new2"}


def test_a_parquet_file_with_columns_of_its_own_is_read(reki, filled, tmp_path):
    file, other = tmp_path / "all.parquet", tmp_path / "more.parquet"
    assert reki("export", file)[0] == 0
    table = pq.read_table(file)
    pq.write_table(table.append_column("note", [["x"] * table.num_rows]), other)
    assert reki("import", other)[0] == 0
    pq.write_table(table.drop_columns(["model"]), tmp_path / "less.parquet")
    code, _, err = reki("import", tmp_path / "less.parquet")
    assert code == 2
    assert "model: Field required" in err
    (tmp_path / "no.parquet").write_text("x")
    assert "cannot be read as Parquet" in reki("import", tmp_path / "no.parquet")[2]


def test_a_long_line_is_refused_without_being_read_whole(tmp_path, store, monkeypatch):
    monkeypatch.setattr(transfer, "_LONGEST_LINE", 1000)
    file = tmp_path / "long.jsonl"
    file.write_text("x" * 5000 + "\n" + "{\n")
    from knowledge.scenario import load_scenario

    done = transfer.import_file(store, file, load_scenario("films"))
    assert done.bad == [(1, "longer than 1000 bytes"), (2, done.bad[1][1])]


def test_show_names_expected_items_by_title_and_says_who_said_it(reki, filled, folder, store):
    code, out, err = reki("show", "user", "u000", "--from", folder)
    assert code == 0, err
    known = records(store)["u000"]
    assert "individual, double" in out
    assert "from 5 events up to 2026-01-05" in out
    assert known.factors["genre"] in out
    for item in (*known.expectations.likes, *known.expectations.dislikes):
        assert f"Film {item} (1995) ({item})" in out
    assert "soundtrack" in reki("show", "item", records(store).popitem()[0])[1]
    assert reki("show", "user", "nobody")[0] == 2


def test_a_forgotten_user_leaves_neither_a_record_nor_an_answer(reki, filled, store, tmp_path):
    answers = tmp_path / "data" / "answers"
    before = len(list(answers.rglob("*.json")))
    code, out, _ = reki("forget", "u001")
    assert (code, "1 cached answer" in out) == (0, True)
    assert store.get("user", "u001") is None
    assert "u001" not in (store.folder / "users.jsonl").read_text()
    assert len(list(answers.rglob("*.json"))) == before - 1
    assert "nothing was stored" in reki("forget", "u001")[1]
    assert reki("show", "user", "u001")[0] == 2


def test_whom_the_stack_forgets_is_out_of_what_is_stored_even_if_that_is_damaged(reki, filled, store, tmp_path):
    answers = tmp_path / "data" / "answers"
    eraser = UserEraser(store.folder, AnswerCache(answers))
    before = len(list(answers.rglob("*.json")))
    eraser.forget("u001", [])
    assert "u001" not in (store.folder / "users.jsonl").read_text()
    assert len(list(answers.rglob("*.json"))) == before - 1
    with (store.folder / "users.jsonl").open("a") as file:
        file.write("{}\n")
    eraser.forget("u002", ["a" * 64])
    assert len(list(answers.rglob("*.json"))) == before - 2
    eraser.forget("nobody", [])


def test_an_old_export_does_not_bring_a_forgotten_user_back_but_a_new_life_is_taken(reki, filled, store, tmp_path):
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    assert reki("export", old)[0] == 0
    assert reki("forget", "u001")[0] == 0
    code, out, err = reki("import", old)
    assert (code, err) == (0, "")
    assert "1 left out: their users were forgotten" in out
    assert "u001" not in (store.folder / "users.jsonl").read_text()
    lines = [json.loads(line) for line in old.read_text().splitlines()]
    [again] = [line for line in lines if line["entity_id"] == "u001"]
    new.write_text(json.dumps(again | {"generated_at": datetime.now(UTC).isoformat()}) + "\n")
    assert "1 records taken" in reki("import", new)[1]
    assert store.get("user", "u001") is not None
