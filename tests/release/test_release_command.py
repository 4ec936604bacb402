"""`reki release`: a person finds out what there is, what is in it, and what a change would take."""

import json
import os
import shutil
from itertools import count

import pytest
import redis
from typer.testing import CliRunner

from feature_repo.keys import Keys
from feature_repo.records import EntityWrite, FeatureRow
from feature_repo.schema import DIM, FACTORS, SUMMARY
from feature_repo.writer import FeatureWriter
from knowledge.base import RekiError
from ranking.release import Release
from reki.cli import app
from tests.release import tiny
from tests.release.write_fixture import FIXTURES, TEMPERATURE

_COUNT = count()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where releases are; no stack is up."""
    for name, value in (("RELEASES_DIR", tmp_path / "releases"), ("STATE_DIR", tmp_path / "state")):
        monkeypatch.setenv(f"REKI_{name}", str(value))
    (tmp_path / "releases").mkdir()
    return tmp_path / "releases"


def said(*arguments):
    done = CliRunner().invoke(app, ["release", *arguments], catch_exceptions=True)
    if done.exception:
        raise done.exception
    return done.stdout


def aged(release, seconds):
    """As if it had been written at that time."""
    for path in (release.path, release.path / "release.json"):
        os.utime(path, (seconds, seconds))
    return release


def test_releases_are_listed_newest_first_and_a_damaged_one_with_its_problem(folder):
    old, new = aged(tiny.write(folder, seed=1), 1e9), aged(tiny.write(folder, seed=2), 2e9)
    broken = aged(tiny.write(folder, seed=3), 1.5e9)
    (broken.path / "vocabulary.json").write_text("{}")
    (folder / ".draft-x").mkdir()
    listed = json.loads(said("list", "--json"))
    assert [one["release_id"] for one in listed] == [new.release_id, broken.release_id, old.release_id]
    assert [one["usable"] for one in listed] == [True, False, True]
    assert [one["next_start"] for one in listed] == [True, False, False]
    assert listed[2]["made_at"] == "2001-09-09T01:46:40+00:00"
    assert (listed[0]["metrics"]["auc_valid"], listed[0]["slots"]) == (0.75, None)
    text = said("list")
    assert f"{new.release_id} 2033-05-18 03:33 din - 0.7000 (test users) tiny-llm|1|c1" in " ".join(text.split())
    assert f"{broken.release_id}: " in text
    assert "was changed after it was written" in text
    assert "No stack of this clone is up" in text


def test_no_release_at_all_says_how_to_get_one(folder):
    with pytest.raises(RekiError, match="`reki up` trains one"):
        said("list")


@pytest.mark.services
def test_the_list_says_which_slot_holds_which_release(folder, valkey, monkeypatch):
    namespace = f"slots{next(_COUNT)}"
    monkeypatch.setenv("REKI_REDIS_URL", valkey.url)
    monkeypatch.setenv("REKI_NAMESPACE", namespace)
    old, new, unused = (tiny.write(folder, seed=seed) for seed in (1, 2, 3))
    client = redis.Redis.from_url(valkey.url)
    values = {"item_vec": [0.5] * FACTORS * DIM, "item_summary": [0.5] * SUMMARY}
    rows = [
        FeatureRow("item_vector", values, source_rev=1, release=release.release_id, slot=slot)
        for release, slot in ((old, "blue"), (new, "green"))
    ]
    FeatureWriter(client, Keys(namespace)).write([EntityWrite("item", tiny.ITEMS[2], 0, tuple(rows))])
    client.set(f"{namespace}:active_slot", "green")
    slots = {one["release_id"]: one["slots"] for one in json.loads(said("list", "--json"))}
    assert slots == {old.release_id: ["blue"], new.release_id: ["green, active"], unused.release_id: []}
    assert "slot green, active" in said("list")
    client.close()


def test_the_model_card_tells_data_metrics_knowledge_sizes_and_layout(folder):
    release = tiny.write(folder)
    text = said("show", release.release_id[:5])
    for line in (
        f"# Release {release.release_id}",
        "| data | drawn |",
        "| without users | 2 |",  # how many, not who: they may have asked for it
        "| AUC, test users | 0.7 |  |",
        "written by a large language model",
        "| `tiny-llm` | `1` | `c1` |",
        "| F, factors | 3 | no: 9 |",
        "Vocabulary: 10 items.",
        "In Feast, a slot, numbers alone: 260 bytes a user, 80 an item.",
    ):
        assert line in text
    assert "u1" not in text
    assert said("show", str(release.path)) == text
    assert text.startswith((release.path / "CARD.md").read_text().rstrip())


def test_a_card_that_was_changed_or_lost_changes_no_release_and_is_made_anew(folder):
    release = tiny.write(folder)
    shown, file = said("show", release.release_id), release.path / "CARD.md"
    kept = file.read_text()
    file.unlink()
    assert Release.load(release.path).release_id == release.release_id
    file.write_text("the best of all releases")
    assert "the best" not in said("show", release.release_id)
    tiny.write(folder)  # the same content again
    assert file.read_text() == kept
    assert said("show", release.release_id)[:500] == shown[:500]


def test_the_card_says_what_the_folds_measured_and_that_it_is_provisional(folder):
    settled = {"folds": 2, "seeds": 1, "users": 378, "samples": 29219, "provisional": True, "commit": "c", "code": "d"}
    release = tiny.write(
        folder,
        temperature=1.25,
        metrics={
            "auc_folds": 0.8,
            "auc_folds_spread": 0.01,
            "auc_folds_without_knowledge": 0.75,
            "auc_folds_without_knowledge_spread": 0.02,
            "auc_kept_out": 0.79,
        },
        training={"hidden": {"history": 0.1}, "settled": settled, "calibration": [[0.25, 0.3, 2922]]},
    )
    text = said("show", release.release_id)
    for line in (
        "not seen them | 0.8000 ± 0.0100 | 0.7500 ± 0.0200 |",
        "| AUC, users kept out of this training | 0.79 |  |",
        "2 x 1 seeds over 378 users, 29,219 samples",
        "**Provisional",
        "temperature 1.25, fitted on",
        "| 0.250 | 0.300 | 2,922 |",
        "| history | 10% |",
    ):
        assert line in text, line
    assert "0.8000 0.7900 (kept out) tiny-llm|1|c1" in " ".join(said("list").split())


def test_releases_of_before_and_after_temperatures_are_compared(folder):
    old, new = (next((FIXTURES / name).glob("*/")) for name in ("ours", "tempered"))
    found = json.loads(said("diff", f"{old}/", f"{new}/", "--json"))
    assert found["settings"]["temperature"] == [1.0, TEMPERATURE]


@pytest.mark.parametrize("name", ["ffff", "", "nothing/here"])
def test_a_release_that_is_not_there_is_refused(folder, name):
    tiny.write(folder)
    with pytest.raises(RekiError, match=r"is no release|there is no release"):
        said("show", name)


def test_the_beginning_of_two_ids_is_refused_with_both(folder):
    release = tiny.write(folder)
    other = release.release_id[:4] + "00000000"
    shutil.copytree(release.path, folder / other)
    with pytest.raises(RekiError, match=f"{other}.*: give more of it"):
        said("show", release.release_id[:4])


def test_a_difference_names_settings_lists_vocabulary_weights_and_what_it_needs(folder):
    old = tiny.write(folder, seed=1)
    new = tiny.write(
        folder,
        seed=2,
        ranker_shape=tiny.shape(dropout=0.1, hidden=(8, 5)),
        vocabulary={"i2": 2, "i3": 4, "new": 3},
        anchors=("i2", "i3", "i4", "i5", "i9"),
        accepted_knowledge=("tiny-llm|2|c1",),
    )
    found = json.loads(said("diff", old.release_id, new.release_id, "--json"))
    assert found["settings"] == {"ranker.dropout": [0.3, 0.1]}
    assert found["lists"]["anchors"] == {"added": ["i9"], "removed": ["i6"], "reordered": False}
    assert found["lists"]["ranker.hidden"] == {"added": [5], "removed": [4], "reordered": False}
    assert found["vocabulary"] == {"added": 1, "removed": 8, "renumbered": 1}
    assert found["weights"]["ranker.safetensors"]["resized"] > 0
    text = said("diff", old.release_id, new.release_id)
    assert "anchors: + i9; - i6" in text
    assert "tiny-llm|1|c1 are masked from then on" in text
    assert "HEIN differs" in text


def test_a_release_does_not_differ_from_itself(folder):
    release = tiny.write(folder)
    assert said("diff", release.release_id, release.release_id).strip() == f"{release.release_id}: the same release"


def test_a_change_of_metrics_alone_says_that_vectors_stay_the_same(folder):
    old, new = tiny.write(folder), tiny.write(folder, metrics={"auc_valid": 0.8})
    found = json.loads(said("diff", old.release_id, new.release_id, "--json"))
    assert found["settings"] == {"metrics.auc_valid": [0.75, 0.8], "metrics.auc_test": [0.7, None]}
    assert found["lists"] == {}
    assert found["weights"]["hein.safetensors"]["changed"] == 0
    assert found["needs"] == [
        "every vector is written anew into the other slot, with the same numbers: rows carry their release"
    ]
