"""A small data set of one's own on disk, a counting LLM, and the command as a person types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from knowledge.catalogue import recorded_catalogue
from reki.cli import main
from reki.paths import cache_dir
from tests.knowledge_cli.counting_llm import counting_llm

COMMAND = "import sys; from reki.cli import main; sys.exit(main())"
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Whole commands take seconds: not for `make check`."""
    for item in items:
        if item.path.is_relative_to(_HERE) and {"reki", "start"} & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def llm():
    with counting_llm() as double:
        yield double


@pytest.fixture
def folder(tmp_path):
    """24 users with five events each on the catalogue's films, in the topics' own JSON."""
    folder = tmp_path / "shop"
    folder.mkdir()
    catalogue = recorded_catalogue()
    films = list(dict.fromkeys([*catalogue.anchors, *catalogue.shortlist]))[:80]
    items = [{"item_id": item, "title": f"Film {item} (1995)", "fields": {"genres": "Drama"}} for item in films]
    events = [
        {
            "event_id": f"e{user}-{n}",
            "user_id": f"u{user:03}",
            "item_id": films[(7 * user + n) % len(films)],
            "action": "rate",
            "value": 1 + (user + n) % 5,
            "occurred_at": f"2026-01-0{1 + n}T00:00:00Z",
        }
        for user in range(24)
        for n in range(5)
    ]
    people = [{"user_id": f"u{user:03}", "fields": {"age": str(20 + user), "email": "a@b.c"}} for user in range(24)]
    for name, rows in (("items", items), ("events", events), ("profiles", people)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def environment(tmp_path, llm):
    """What the command runs with: everything it keeps below `tmp_path`."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("REKI_")},
        "REKI_STATE_DIR": str(tmp_path / "state"),
        "REKI_DATA_DIR": str(tmp_path / "data"),
        "REKI_CACHE": str(cache_dir()),
        "REKI_LLM_BASE_URL": llm.base_url,
        "REKI_LLM_MODEL": "double",
        "REKI_LLM_SHORTLIST": "60",
        "REKI_LLM_BACKOFF_S": "0.01",
        "REKI_KNOWLEDGE_CACHE_DIR": str(tmp_path / "data" / "answers"),
    }


@pytest.fixture
def start(environment, tmp_path):
    """Start `reki knowledge ARGUMENTS`."""

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, "knowledge", *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def reki(environment, tmp_path, monkeypatch, capsys):
    """Run it to its end in this process, which spares seconds of imports: (exit code, standard output and error)."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        for name in [name for name in os.environ if name.startswith("REKI_")]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["reki", "knowledge", *map(str, arguments)])
        capsys.readouterr()
        try:
            code = main()
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return run
