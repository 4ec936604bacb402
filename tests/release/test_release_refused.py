"""Damaged releases, and releases made by hand with a right hash, are one clear `bad_release`: never a traceback."""

import json
import math

import pytest

from knowledge.base import TerminalError
from ranking.release import Release, _digest
from reki.release.found import releases
from tests.release import tiny

NAME = "0123456789ab"
JSON = ["[]", "null", "3", '"x"', "[" * 100_000, "{", "\udc80"]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("good"))


def by_hand(good, folder, changes=(), vocabulary=None):
    """A copy of `good` with other fields ("ranker.groups" is one in another) and the hash that belongs to them."""
    folder.mkdir()
    for file in good.path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    named = json.loads((folder / "release.json").read_text())
    for name, value in dict(changes).items():
        *outer, last = name.split(".")
        (named[outer[0]] if outer else named)[last] = value
    if vocabulary is not None:
        (folder / "vocabulary.json").write_text(vocabulary)
    named["release_id"] = _digest(folder, named)
    (folder / "release.json").write_text(json.dumps(named))
    return folder


def refused(folder, *messages):
    with pytest.raises(TerminalError) as caught:
        Release.load(folder)
    assert caught.value.reason == "bad_release"
    for message in (str(folder), "train again", *messages):
        assert message in caught.value.message


@pytest.mark.parametrize("text", JSON, ids=lambda text: repr(text[:4]))
def test_a_release_json_of_another_kind_hides_no_good_release(good, tmp_path, text):
    kept = by_hand(good, tmp_path / good.release_id)
    bad = by_hand(good, tmp_path / NAME)
    (bad / "release.json").write_bytes(text.encode(errors="surrogateescape"))
    refused(bad, "release.json")
    found = {one.name: one for one in releases(tmp_path)}
    assert found[kept.name].release is not None
    assert "train again" in found[NAME].problem


@pytest.mark.parametrize("name", ["hein.safetensors", "ranker.safetensors", "vocabulary.json", "release.json"])
def test_a_folder_in_the_place_of_a_file_is_listed_with_its_problem(good, tmp_path, name):
    bad = by_hand(good, tmp_path / NAME)
    (bad / name).unlink()
    (bad / name).mkdir()
    refused(bad, name)
    assert [one.name for one in releases(tmp_path) if one.problem] == [NAME]


def test_a_file_in_the_place_of_the_folder_is_refused(good):
    refused(good.path / "release.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("temperature", value) for value in (0, -1, math.nan, math.inf, None, "x", True)),
        *(("history_length", value) for value in (0, 3, 11, 8.0, None, -8)),
        *((name, value) for name in ("ranker", "hein") for value in (None, [], "x")),
        *((name, "x") for name in ("anchors", "factors", "anchor_means", "accepted_knowledge", "training")),
        *(("metrics", value) for value in (None, [], {"auc_valid": "x"}, {"auc_valid": None})),
        ("anchors", ["i2"]),
        ("anchors", ["i2", "i3", "i4", "i5", 6]),
        ("anchor_means", [3.0]),
        ("anchor_means", [3.0, 3.0, 3.0, 3.0, math.nan]),
        ("factors", ["genre"]),
        ("dim", 5),
        ("scenario", None),
        ("ranker.backbone", "transformer"),
        ("ranker.backbone", []),
        ("ranker.groups", ["experienced", "weather"]),
        ("ranker.hidden", [8, "x"]),
        ("ranker.spread", 0.0),
        ("ranker.dropout", -1.0),
        ("ranker.vocabulary", -12),
        ("ranker.knowledge", "no"),
        ("hein.summary", 9),
    ],
)
def test_a_field_that_no_release_has_is_refused_by_name(good, tmp_path, name, value):
    refused(by_hand(good, tmp_path / "made", {name: value}), f"{name} must be")


@pytest.mark.parametrize(
    "vocabulary",
    [
        *("[]", "null", "3", "[" * 100_000),
        *(f'{{"i2": {index}}}' for index in ("99999", "12", "1", "-5", "1.5", "true", "null")),
        '{"i2": 2, "i3": 2}',
        '{"": 2}',
    ],
    ids=lambda text: text[:12],
)
def test_a_vocabulary_that_points_nowhere_is_refused(good, tmp_path, vocabulary):
    refused(by_hand(good, tmp_path / "made", vocabulary=vocabulary), "release holds")


@pytest.mark.parametrize("changes", [{"ranker.embedding": 10**15}, {"ranker.hidden": [9, 9]}])
def test_sizes_that_no_network_has_are_no_raw_exception(good, tmp_path, changes):
    release = Release.load(by_hand(good, tmp_path / "made", changes))
    with pytest.raises(TerminalError, match="train again") as caught:
        release.ranker()
    assert caught.value.reason == "bad_release"


@pytest.mark.parametrize(
    "changes",
    [
        {"history_length": 5},
        {"history_length": 10},
        {"temperature": 2},
        {"metrics": {"auc_valid": math.nan}},
        {"metrics": {}},
        {"accepted_knowledge": []},
    ],
)
def test_what_a_release_may_hold_is_not_refused(good, tmp_path, changes):
    release = Release.load(by_hand(good, tmp_path / "made", changes))
    release.ranker()
    assert release.hein.shape == good.hein.shape


def test_nothing_is_written_that_would_be_refused(tmp_path):
    with pytest.raises(ValueError, match="temperature must be above 0"):
        tiny.write(tmp_path, temperature=0.0)
    assert list(tmp_path.iterdir()) == []
