"""`reki up`, `status` and `down` as a person uses them, on the stores alone and in temporary folders."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from reki.paths import cache_dir
from reki.stack import processes

pytestmark = pytest.mark.services
_REKI = [sys.executable, "-c", "import sys; from reki.cli import main; sys.exit(main())"]


class Clone:
    def __init__(self, folder):
        self.folder = folder
        self.run_dir = folder / "state" / "run"
        self.environment = {
            **os.environ,
            "REKI_STATE_DIR": str(folder / "state"),
            "REKI_DATA_DIR": str(folder / "data"),
            "REKI_FEAST_REPO": str(folder / "repo"),
            "REKI_CACHE": str(cache_dir()),
            "REKI_BROKER": "last-resort",
        }

    def reki(self, *arguments):
        return subprocess.run(
            [*_REKI, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, *arguments):
        with (self.folder / "out").open("wb") as output:
            return subprocess.Popen([*_REKI, *arguments], env=self.environment, cwd=self.folder, stdout=output)

    def until(self, text, seconds=90):
        deadline = time.monotonic() + seconds
        while text not in (said := (self.folder / "out").read_text()):
            assert time.monotonic() < deadline, said
            time.sleep(0.1)

    def left(self):
        return processes.marked(self.run_dir)


@pytest.fixture
def clone(tmp_path):
    made = Clone(tmp_path.resolve())
    yield made
    made.reki("down")
    assert made.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_everything_and_says_so(clone, number):
    process = clone.start("up", "--stores")
    clone.until("Ctrl-C stops it")
    assert clone.left()
    process.send_signal(number)
    assert process.wait(60) == 0
    assert clone.left() == []
    assert "nothing is left running" in (clone.folder / "out").read_text()


def test_ctrl_c_during_the_start_leaves_nothing_behind(clone):
    process = clone.start("up", "--stores")
    deadline = time.monotonic() + 60
    while not clone.left():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert clone.left() == []


def test_a_detached_stack_is_shown_restarted_and_stopped(clone):
    done = clone.reki("up", "--stores", "--detach")
    assert done.returncode == 0, done.stderr
    assert "topics live in memory and are lost" in done.stdout
    shown = clone.reki("status")
    assert shown.returncode == 0
    assert re.search(r"valkey\s+running", shown.stdout)
    ports = json.loads((clone.folder / "state" / "ports.json").read_text())
    assert f"redis://127.0.0.1:{ports['valkey']}/0" in clone.reki("settings").stdout
    again = clone.reki("up", "--stores")
    assert again.returncode == 2
    assert "the stores of this clone are up alone" in again.stderr
    assert "Triton" not in done.stdout
    assert "stopped the stack of `reki up`" in clone.reki("down").stdout
    assert clone.left() == []
    assert clone.reki("status").returncode == 1
    assert json.loads((clone.folder / "state" / "ports.json").read_text()) == ports
    assert clone.reki("down").stdout == "nothing was running\n"


def test_feast_knows_the_stores_that_are_up(clone):
    assert clone.reki("up", "--stores", "--detach").returncode == 0
    written = (clone.folder / "repo" / "feature_store.yaml").read_text()
    ports = json.loads((clone.folder / "state" / "ports.json").read_text())
    assert f"127.0.0.1:{ports['valkey']}" in written
    assert str(clone.folder / "data") in written


def test_a_port_that_somebody_took_is_named(clone):
    import socket

    from reki.stack.ports import StackPorts

    ports = StackPorts.kept(clone.folder / "state" / "ports.json")
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.valkey))
        other.listen()
        done = clone.reki("up", "--stores")
    assert done.returncode == 2
    assert f"port {ports.valkey} of this clone is in use by another program" in done.stderr
    assert "Traceback" not in done.stderr
