"""The items that can be found for a user, on disk and found again."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from encoders.finder import Finder
from encoders.item_index import ItemIndex, load_index
from knowledge.base import Polarity, TerminalError
from knowledge.requests import HistoryEntry, UserRequest

START = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = 3001


@pytest.fixture(scope="module")
def index():
    """As many items as make a matrix product round by its own order; every third is a copy of another's vector."""
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((ITEMS, 1, 384)).astype(np.float16)
    vectors[::3] = vectors[1]
    return ItemIndex(
        "items_titles|test",
        tuple(f"i{n}" for n in range(ITEMS)),
        tuple(f"Ítem {n}" for n in range(ITEMS)),
        vectors,
        draw.integers(0, 50, ITEMS),
        np.where(draw.random(ITEMS) < 0.1, np.inf, draw.random(ITEMS) * 1e9),
    )


def person(number, events=20):
    draw = np.random.default_rng(number)
    history = tuple(
        HistoryEntry(
            f"i{item}",
            "told otherwise",
            4.0,
            Polarity.LIKED if item % 3 else Polarity.DISLIKED,
            START + timedelta(seconds=n),
        )
        for n, item in enumerate(draw.integers(0, ITEMS, events).tolist())
    )
    return UserRequest(f"u{number}", {}, history, events, START, None, 1)


def test_an_index_survives_the_disk_and_finds_the_same(index, tmp_path):
    index.write(tmp_path / "shop-find.json")
    again = load_index(tmp_path / "shop-find.json")
    assert again.version == index.version
    assert again.titles == index.titles
    people = [person(n) for n in range(5)]
    assert Finder(again).found_for(people) == Finder(index).found_for(people)


def test_a_user_alone_gets_what_they_get_in_a_batch(index):
    finder = Finder(index)
    people = [person(n, events=5 + n) for n in range(30)]
    assert [finder.found(one) for one in people] == finder.found_for(people)
    assert all(len(one.retrieved) == 60 for one in finder.found_for(people))


def test_found_items_have_the_indexs_titles_and_were_not_touched(index):
    found = Finder(index).found(person(1))
    assert found.retrieved_titles == {item: f"Ítem {item[1:]}" for item in found.retrieved}
    assert not {entry.item_id for entry in found.history} & set(found.retrieved)


def test_an_index_is_never_overwritten_nor_anothers_tensors(index, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    with pytest.raises(TerminalError, match=r"model\.safetensors exists already"):
        index.write(tmp_path / "model.json")
    index.write(tmp_path / "find.json")
    before = (tmp_path / "find.json").read_bytes()
    with pytest.raises(TerminalError, match="exists already"):
        index.write(tmp_path / "find.json")
    assert (tmp_path / "find.json").read_bytes() == before
    with pytest.raises(TerminalError, match=r"must end in \.json"):
        index.write(tmp_path / "find")


def test_what_changes_the_prompt_changes_the_version(index):
    other = ItemIndex(
        index.representation,
        index.ids,
        ("Another title", *index.titles[1:]),
        index.vectors,
        index.touches,
        index.first_seen,
    )
    assert other.version != index.version


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda json, tensors: json.write_text(json.read_text().replace("Ítem 7", "Item 7")), "was changed"),
        (lambda json, tensors: json.write_text(json.read_text().replace('"format": 1', '"format": 9')), "format 9"),
        (lambda json, tensors: json.write_text(json.read_text().replace('"ids"', '"idz"')), "'ids' is missing"),
        (lambda json, tensors: json.write_text("[]"), "cannot be read"),
        (lambda json, tensors: tensors.write_bytes(b"x" * 40), "cannot be read"),
        (lambda json, tensors: tensors.unlink(), "cannot be read"),
        (lambda json, tensors: json.unlink(), "cannot be read"),
    ],
)
def test_a_damaged_index_is_refused_with_its_name_and_the_fault(index, tmp_path, change, says):
    file = tmp_path / "find.json"
    index.write(file)
    change(file, tmp_path / "find.safetensors")
    with pytest.raises(TerminalError, match=says) as caught:
        load_index(file)
    assert caught.value.reason == "bad_find_file"
    assert "find.json" in caught.value.message


@pytest.mark.parametrize("ids", [("a", "a"), ("a", "b b"), ("a",)])
def test_items_that_do_not_fit_their_numbers_are_refused(ids):
    vectors = np.ones((2, 1, 2), dtype=np.float16)
    with pytest.raises(ValueError, match=r"index names|same items"):
        ItemIndex("test", ids, ("A", "B"), vectors, np.ones(2, dtype=np.int64), np.zeros(2))
