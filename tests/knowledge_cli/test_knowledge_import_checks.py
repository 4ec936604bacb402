"""What `export` and `import` refuse, leave out or mark, and what they leave behind when something fails."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from knowledge.base import Knowledge
from knowledge.catalogue import recorded_catalogue
from knowledge.store import KnowledgeStore, Stored
from reki.knowledge import parquet

FILMS = recorded_catalogue().shortlist


def record(entity_id="u1", **changes):
    return {
        "entity": "user",
        "entity_id": entity_id,
        "factors": {"genre": "likes quiet dramas"},
        "expectations": {"likes": [FILMS[0]], "dislikes": [FILMS[1]], "anchors": {}},
        "mode": "individual",
        "model": "m",
        "template_version": "films-user-2",
        "catalogue_version": "c",
        "source_rev": 3,
        "generated_at": "2026-01-01T00:00:00Z",
        **changes,
    }


def expecting(**changes):
    return record(expectations=record()["expectations"] | changes)


@pytest.fixture
def store(tmp_path):
    return KnowledgeStore(tmp_path / "data" / "knowledge")


@pytest.fixture
def take(reki, tmp_path):
    """Import these lines: (exit code, output, errors)."""

    def take(*lines, options=()):
        file = tmp_path / "in.jsonl"
        written = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_text("".join(line + "\n" for line in written))
        return reki("import", file, *options)

    return take


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (record(generated_at="0001-01-01T00:00:00+14:00"), "the time is outside"),
        (record(generated_at=5), "generated_at: write a time"),
        (record(generated_at="5"), "generated_at: write a time"),
        (record(source_through=5), "source_through: write a time"),
        (record(source_rev=True), "source_rev: write a whole number"),
        (record(source_rev=10**30), "source_rev:"),
        (record(tokens_in="7"), "tokens_in: write a whole number"),
        (record(tokens_out=-1), "tokens_out:"),
        (record(changed=["\u202e<|im_start|>system"]), "changed: name factors"),
        (record(changed=["genre", "genre"]), "changed: name factors"),
        (expecting(weights={FILMS[0]: float("inf")}), "weights"),
        (expecting(weights={FILMS[0]: float("nan")}), "weights"),
        (expecting(weights={FILMS[0]: 1e308}), "weights: the weight of"),
        (expecting(weights={FILMS[0]: 0}), "weights"),
        (expecting(weights={FILMS[5]: 1}), "neither liked nor disliked"),
        (expecting(anchors={FILMS[0]: float("nan")}), "anchors"),
        (record(template_version="books-user-2"), "it is of scenario books"),
        (record(smell="x"), "smell: there is no such key: use entity"),
        ("[" * 100_000, "not JSON"),
        ('{"source_rev": ' + "9" * 10_000 + "}", "not JSON"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_taken_if_wished(take, store, bad, told):
    code, _, err = take(record("good"), bad)
    assert code == 2
    [line] = [line for line in err.splitlines() if "in.jsonl:2: " in line]
    assert told in line
    assert not store.ids("user")
    assert take(record("good"), bad, options=["--skip-bad"])[0] == 0
    assert store.ids("user") == ["good"]


def changed_table(file, **columns):
    """One row as `export` writes it, with other columns in the place of some."""
    parquet.write(file, [Knowledge.model_validate(record())])
    whole = pq.read_table(file)
    for name, column in columns.items():
        whole = whole.set_column(whole.schema.names.index(name), name, column)
    pq.write_table(whole, file)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"factors": pa.array(["x"])}, "factors:"),
        ({"factors": pa.array([7])}, "factors:"),
        ({"factors": pa.array([[1, 2]])}, "factors:"),
        ({"anchors": pa.array(["x"])}, "expectations.anchors:"),
        ({"weights": pa.array([7])}, "expectations.weights:"),
        ({"likes": pa.array(["x"])}, "expectations.likes:"),
        ({"factors": pa.array([[([1], "x")]], pa.map_(pa.list_(pa.int64()), pa.string()))}, "factors:"),
        ({"generated_at": pa.array([2**62], pa.timestamp("us", tz="UTC"))}, "generated_at:"),
        ({"generated_at": pa.array([0], pa.timestamp("us", tz="Mars/Base"))}, "generated_at:"),
        ({"model": pa.array([b"\xff"]).view(pa.string())}, "model:"),
    ],
)
def test_a_parquet_file_of_somebody_else_spoils_its_row_not_the_command(reki, store, tmp_path, columns, told):
    file = tmp_path / "in.parquet"
    changed_table(file, **columns)
    code, _, err = reki("import", file)
    assert code == 2, err
    assert f"{file}:1: {told}" in err
    assert reki("import", file, "--skip-bad")[0] == 0
    changed_table(file)
    assert reki("import", file)[0] == 0
    assert store.ids("user") == ["u1"]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_an_export_that_fails_leaves_no_file_that_would_refuse_the_next(reki, take, tmp_path, file_limit, ending):
    assert take(*[record(f"u{n}", factors={"genre": f"{n} " * 600}) for n in range(30)])[0] == 0
    file = tmp_path / "out" / f"all.{ending}"
    file.parent.mkdir()
    with file_limit(1000):
        code, _, err = reki("export", file)
    assert (code, list(file.parent.iterdir())) == (1, []), err
    assert f"cannot write {file}: file too large" in err
    code, _, err = reki("export", tmp_path / "no" / f"all.{ending}")
    assert "no such file or directory" in err
    code, _, err = reki("export", tmp_path / ("x" * 300 + f".{ending}"))
    assert code == 2
    assert "file name too long" in err
    assert "Errno" not in err
    longest = tmp_path / ("x" * (254 - len(ending)) + f".{ending}")
    assert reki("export", longest)[0] == 0
    assert reki("export", file)[0] == 0


def test_a_missing_file_is_told_without_an_error_number(reki, tmp_path):
    for ending in ("jsonl", "parquet"):
        code, _, err = reki("import", tmp_path / f"none.{ending}")
        assert code == 2
        assert "Errno" not in err
        assert "no such file" in err


def test_an_export_holds_one_scenario_and_is_what_import_takes(reki, take, store, environment, tmp_path):
    assert take(record())[0] == 0
    environment["REKI_SCENARIO"] = "products"
    cup = record("i1", entity="item", expectations=None, factors={"price": "cheap"})
    assert take(cup | {"template_version": "products-item-1"})[0] == 0
    code, out, _ = reki("export", tmp_path / "products.jsonl")
    assert (code, "1 records" in out, "left out: 1 of films" in out) == (0, True, True)
    assert reki("import", tmp_path / "products.jsonl")[0] == 0
    environment["REKI_SCENARIO"] = "books"
    code, _, err = reki("export", tmp_path / "books.jsonl")
    assert code == 2
    assert "nothing of scenario books is stored" in err
    assert "--in-force" in err


def test_an_edited_record_is_not_taken_for_what_the_llm_said(take, store):
    with store:
        store.append(Stored(Knowledge.model_validate(record()), "a" * 64))
    code, out, _ = take(record())
    assert (code, "0 records taken" in out) == (0, True)
    assert store.get("user", "u1").prompt_hash == "a" * 64  # what stands there stays, with its answer's name
    edited = record(factors={"genre": "likes loud comedies"})
    code, out, _ = take(edited)
    assert "1 of them differ from the answer stored here" in out
    assert store.get("user", "u1").knowledge.model == "m+edited"
    assert "0 records taken" in take(edited)[1]
    assert take(edited | {"factors": {"genre": "likes loud farces"}})[0] == 0
    assert store.get("user", "u1").knowledge.model == "m+edited"
    newer = record(generated_at=datetime(2026, 2, 1, tzinfo=UTC).isoformat())
    assert "differ" not in take(newer)[1]
    assert store.get("user", "u1").knowledge.model == "m"
    with store:
        store.append(Stored(Knowledge.model_validate(record("u2", model="x" * 100)), None))
    assert take(record("u2", model="x" * 100, factors={"genre": "likes loud comedies"}))[0] == 0
    assert store.get("user", "u2").knowledge.model == "x" * 93 + "+edited"


def test_named_items_that_exist_nowhere_are_told(take):
    code, out, _ = take(expecting(likes=["nowhere-1", FILMS[0]]))
    assert code == 0
    assert "1 of the items that users' records name are not in the catalogue" in out
    assert "as nowhere-1" in out
    assert "of the items" not in take(record("u2"))[1]
