import os
import subprocess
import sys
import tempfile

import pytest

from feature_repo.offline import OfflineBuffer
from feature_repo.schema import physical_views
from reki.paths import ROOT
from reki.settings_page import markdown, page_file


def _reki(*arguments, **environment):
    # A state folder of its own: a test must not start, or be refused by, this clone's stack.
    with tempfile.TemporaryDirectory() as state:
        return _run(arguments, {"REKI_STATE_DIR": state, **environment})


def _run(arguments, environment):
    return subprocess.run(
        [sys.executable, "-c", "import sys; from reki.cli import main; sys.exit(main())", *arguments],
        cwd="/",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_page_of_settings_is_what_the_rooms_say():
    assert page_file(ROOT).read_text() == markdown(), "run `.venv/bin/reki settings --markdown > docs/settings.md`"


def test_settings_come_with_their_source_and_without_secrets():
    done = _reki("settings", REKI_LLM_API_KEY="hunter2", REKI_RING_SIZE="77", REKI_RING_SISE="1")
    assert done.returncode == 0
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert lines["ring_size"] == ["ring_size", "77", "environment"]
    assert lines["llm_api_key"] == ["llm_api_key", "(set,", "hidden)", "environment"]
    assert "hunter2" not in done.stdout + done.stderr
    assert "REKI_RING_SISE is set in the environment, but there is no such setting" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("settings",), {"REKI_RING_SIZE": "many"}, "reki: setting REKI_RING_SIZE is not usable"),
        (("settings",), {"REKI_SETTINGS": "/nowhere.json"}, "cannot be read"),
        (("forget", "not{an}id"), {}, "is not an id"),
        (("up",), {"REKI_RELEASES_DIR": "/nowhere", "REKI_MOVIELENS_DIR": "/nowhere"}, "no MovieLens-100K in /nowhere"),
        (("load-sample",), {"REKI_STATE_DIR": "/nowhere"}, "no stack of this clone is up"),
        (("up",), {"REKI_RELEASE": "/nowhere/release"}, "there is no release at /nowhere/release"),
        (("up",), {"REKI_SCENARIO": "opera"}, "there is no scenario 'opera': use one of"),
        (("settings",), {"REKI_SCENARIO": "books", "REKI_LLM": "recorded"}, "recorded knowledge is about films"),
        (("up", "--stores"), {"REKI_DATA_DIR": "/proc/nowhere"}, "the folder /proc/nowhere cannot be made"),
        (("worker", "cook"), {}, "cook"),
        (("dance",), {}, "dance"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence_and_exit_2(arguments, environment, said):
    done = _reki(*arguments, **environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_one_setting_is_printed_alone_for_scripts():
    assert _reki("settings", "ring_size", REKI_RING_SIZE="77").stdout == "77\n"
    refused = _reki("settings", "llm_api_key", REKI_LLM_API_KEY="hunter2")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "llm_api_key is a secret" in refused.stderr
    unknown = _reki("settings", "ring_sise")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("reki: there is no setting 'ring_sise'")


def test_help_names_every_command():
    said = _reki("--help").stdout
    for command in (
        "settings",
        "up",
        "down",
        "status",
        "demo",
        "worker",
        "forget",
        "refresh",
        "rebuild",
        "compact",
        "load-sample",
    ):
        assert f" {command} " in said


@pytest.mark.slow
def test_compact_tidies_the_store_that_the_settings_name(tmp_path):
    places = {"REKI_STATE_DIR": str(tmp_path / "state"), "REKI_OFFLINE_DIR": str(tmp_path / "offline")}
    done = _reki("compact", **places)
    assert done.returncode == 2
    assert f"there is no offline store in {tmp_path}/offline" in done.stderr
    OfflineBuffer(tmp_path / "offline").create()
    done = _reki("compact", "--purge", **places)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == len(physical_views())
    assert said[0].startswith("user_history: 0 rows, 0 doubles less, 0 files before and 0 now")
