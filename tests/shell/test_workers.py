import os

import pytest

from knowledge.base import TerminalError
from knowledge.recorded import RecordedStore
from reki.prepare import recorded_texts
from reki.settings import load_settings
from reki.titles import CatalogueTitles
from reki.workers import main, release_path


def test_an_unknown_worker_is_refused(capsys):
    assert main(["cook"]) == 2
    assert "usage: python -m reki.workers stream|refresh" in capsys.readouterr().err


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
    with pytest.raises(TerminalError, match="`make demo` trains one"):
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


class _Reader:
    """An online store that gets its second item late, and counts how often it is asked."""

    def __init__(self):
        self.rows = {"1": {"item_title": "Toy Story"}}
        self.asked = []

    def read(self, view, ids, features=None, slot=None):
        self.asked.append(list(ids))
        return [self.rows.get(item) for item in ids]


def test_titles_that_come_late_are_found_without_asking_at_every_look(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("reki.titles.time.monotonic", lambda: now[0])
    reader = _Reader()
    titles = CatalogueTitles(reader, ["1", "2"])
    assert dict(titles) == {"1": "Toy Story"}
    reader.rows["2"] = {"item_title": "GoldenEye"}
    assert "2" not in titles
    now[0] += 11
    assert titles["2"] == "GoldenEye"
    assert titles["1"] == "Toy Story"
    assert reader.asked == [["1", "2"], ["2"]]
