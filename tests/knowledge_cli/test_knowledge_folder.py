"""A folder of one's own: what is wrong in it is named by file, line and word."""

import json

import pytest

from knowledge.base import TerminalError
from knowledge.scenario import load_scenario
from reki.knowledge.folder import FolderSubjects

ITEM = {"item_id": "1", "title": "Film"}
EVENT = {
    "event_id": "e1",
    "user_id": "u1",
    "item_id": "1",
    "action": "rate",
    "value": 4,
    "occurred_at": "2026-01-01T00:00:00Z",
}


def load(folder):
    return FolderSubjects.load(folder, load_scenario("films"), 100)


@pytest.mark.parametrize(
    ("name", "lines", "told"),
    [
        ("items", [ITEM, {**ITEM, "grape": "Riesling"}], "items.jsonl:2: grape: there is no such key: use item_id"),
        ("items", [{**ITEM, "grape": "Riesling"}], "further facts go into fields"),
        ("items", [{"item_id": "1"}], "items.jsonl:1: title: Field required"),
        ("items", ["{"], "items.jsonl:1: Invalid JSON"),
        ("items", ["[" * 100_000], "items.jsonl:1: Invalid JSON"),
        ("events", [EVENT, {**EVENT, "action": "rate", "value": 9}], "events.jsonl:2: rate needs a value from 1 to 5"),
        ("events", [EVENT, {**EVENT, "action": "eat"}], "events.jsonl:2: action:"),
        ("events", [EVENT, {**EVENT, "occurred_at": "0001-01-01T00:00:00+14:00"}], "events.jsonl:2: the time is"),
        ("events", [EVENT, {**EVENT, "occurred_at": "2026-01-01T00:00:00"}], "events.jsonl:2: occurred_at:"),
        ("events", [EVENT, {**EVENT, "user_id": "a b"}], "events.jsonl:2: user_id: an id is"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, name, lines, told):
    (tmp_path / "items.jsonl").write_text(json.dumps(ITEM) + "\n")
    written = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (tmp_path / f"{name}.jsonl").write_text("\n".join(written) + "\n")
    with pytest.raises(TerminalError) as caught:
        load(tmp_path)
    assert told in caught.value.message
    assert caught.value.reason == "bad_data"


@pytest.mark.parametrize("name", ["items.jsonl", "events.jsonl", "profiles.jsonl", "u.data", "u.item"])
def test_a_folder_in_the_place_of_a_file_is_told(tmp_path, name):
    others = {"u.data", "u.item", "u.user"} if name.startswith("u.") else {"items.jsonl"}
    for other in others - {name}:
        (tmp_path / other).touch()
    (tmp_path / name).mkdir()
    with pytest.raises(TerminalError, match=rf"{name} .*"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"),
    [("nope", "there is no folder"), ("file", "is a file: name the folder"), ("empty", "holds neither items.jsonl")],
)
def test_what_is_no_data_set_is_told_with_what_is_needed(tmp_path, name, told):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TerminalError, match=told) as caught:
        load(tmp_path / name)
    assert "items.jsonl" in caught.value.message
    with pytest.raises(TerminalError, match="file name too long"):
        load(tmp_path / ("x" * 300))


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    (tmp_path / "items.jsonl").write_text(json.dumps(ITEM) + "\n", encoding="utf-8-sig")
    assert load(tmp_path).item_ids() == ["1"]


@pytest.mark.parametrize("title", ["", "  ", "\u200b", "..."])
def test_nobody_pays_for_an_item_without_a_title(tmp_path, title):
    rows = [ITEM, {"item_id": "2", "title": title}]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "events.jsonl").write_text(json.dumps({**EVENT, "item_id": "2"}) + "\n")
    subjects = load(tmp_path)
    assert subjects.item_ids() == ["1"]
    assert [one.entity_id for one in subjects.items(["1", "2"])] == ["1"]
    assert subjects.titles(["1", "2"]) == {"1": "Film"}
    assert subjects.histories["u1"][0].title == "item 2"
