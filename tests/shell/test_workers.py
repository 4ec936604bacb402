import os

import pytest

from knowledge.base import TerminalError
from knowledge.recorded import RecordedStore
from reki.prepare import recorded_texts
from reki.recorded import recorded_store
from reki.settings import load_settings
from reki.workers import main, release_path


def test_an_unknown_worker_is_refused(capsys):
    assert main(["cook"]) == 2
    assert "usage: python -m reki.workers stream|refresh" in capsys.readouterr().err


def test_a_find_file_that_is_not_there_is_one_sentence_and_only_matters_to_who_would_tell_of_it(
    monkeypatch, capsys, tmp_path
):
    environ = {"REKI_CATALOGUE_FIND_FILE": str(tmp_path / "find.json")}
    assert load_settings(tmp_path, environ).knowledge.find_file is None  # recorded knowledge names no items
    environ |= {"REKI_LLM_BASE_URL": "http://127.0.0.1:9/v1", "REKI_LLM_MODEL": "some"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("REKI_SETTINGS", raising=False)
    assert main(["refresh"]) == 2
    assert "find.json cannot be read" in capsys.readouterr().err


def _release(folder, name, at):
    path = folder / name
    path.mkdir(parents=True)
    os.utime(path, (at, at))
    return path


def test_the_newest_release_is_used_unless_one_is_named(tmp_path):
    folder = tmp_path / ".reki/cache/releases"
    old, new = _release(folder, "0" * 12, 100), _release(folder, "f" * 12, 200)
    _release(folder, "draft-of-a-release", 300)
    settings = load_settings(tmp_path, {})
    assert release_path(settings) == new
    assert release_path(settings.replaced(release="0" * 12)) == old
    assert release_path(settings.replaced(release=str(old))) == old


def test_a_missing_release_says_what_to_do(tmp_path):
    settings = load_settings(tmp_path, {})
    with pytest.raises(TerminalError, match="`reki up` trains one"):
        release_path(settings)
    with pytest.raises(TerminalError, match=r"no release at .*abc"):
        release_path(settings.replaced(release="abc"))


def test_every_recorded_text_is_encoded_once_and_short_ones_first():
    store = RecordedStore.load()
    texts = recorded_texts(store)
    assert len(texts) == len(set(texts))
    assert [len(text) for text in texts] == sorted(len(text) for text in texts)
    assert set(store.item("1").factors.values()) <= set(texts)
    assert set(store.users()["1"].factors.values()) <= set(texts)
    refreshed = next(user for user in store.users() if store.is_refreshed(user))
    assert set(store.refreshes(refreshed)[-1].factors.values()) <= set(texts)


def test_records_are_cleaned_of_all_that_was_ever_rated_where_the_ratings_are(tmp_path):
    plain = recorded_store(tmp_path / "nowhere")
    expected = plain.users()["1"].expectations.likes[0]
    assert plain.dropped == 0
    (tmp_path / "u.data").write_text(f"1\t{expected}\t5\t100\n")
    (tmp_path / "u.item").write_text(f"{expected}|A Film (1995)|01-Jan-1995|||0|1\n")
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n")
    cleaned = recorded_store(tmp_path)
    assert expected not in cleaned.users()["1"].expectations.likes
    assert cleaned.dropped >= 1


def test_ratings_that_are_damaged_are_not_taken_for_missing(tmp_path):
    with pytest.raises(TerminalError, match="no MovieLens-100K in"):
        recorded_store(tmp_path)


def test_all_298_touched_items_fall():
    folder = load_settings().ranking.movielens_dir
    if not folder.is_dir():
        pytest.skip("MovieLens-100K was not fetched: `sh scripts/setup` does it")
    assert recorded_store(folder).dropped == 298
