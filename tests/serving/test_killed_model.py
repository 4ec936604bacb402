"""A model's process (Triton's python stub) that is killed comes back, in a stack under its supervisor."""

import os
import signal
import time

import pytest

from reki.paths import cache_dir
from reki.settings import load_settings
from reki.stack import control, processes
from reki.stack.stack import Stack
from serving.export import export_release
from serving.launcher import probe
from serving.ranker_load import COSINE
from serving.settings import ServingSettings
from tests.serving.world import TRITON_PYTHON, FakeRelease

pytestmark = [pytest.mark.services, pytest.mark.slow]


def _until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.3)


def _stubs(run_dir):
    found = []
    for pid in processes.marked(run_dir):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read()
        except OSError:
            continue
        if b"triton_python_backend_stub" in line.split(b"\0")[0]:
            found.append(pid)
    return found


@pytest.fixture
def stack(catalogue, feast_store, online_store, tmp_path):
    if not TRITON_PYTHON.exists():
        pytest.skip("there is no .venv-triton: `sh scripts/setup` makes it")
    settings = load_settings(tmp_path, {"REKI_REDIS_URL": online_store.url, "REKI_CACHE": str(cache_dir())})
    made = Stack(settings, tmp_path / "run", tmp_path / "data", tmp_path / "logs", names=("triton",))
    export_release(made.models_dir, FakeRelease(), "blue", catalogue.settings, ServingSettings(), COSINE, feast_store)
    try:
        made.up()
        yield made
    finally:
        made.down()


def test_a_killed_model_answers_again_and_a_store_that_is_away_restarts_nothing(stack, online_store):
    url = f"http://127.0.0.1:{stack.ports.triton_http}"
    before = stack.pid("triton")
    time.sleep(6)  # the listener has seen it ready
    online_store.stop()
    try:
        _until(lambda: "answered 503" in (probe(url) or ""), 20)
        time.sleep(20)
        assert stack.pid("triton") == before
    finally:
        online_store.start()
    _until(lambda: probe(url) is None, 30)
    for pid in _stubs(stack.run_dir):
        os.kill(pid, signal.SIGKILL)
    assert [one.state for one in control.probed(stack.run_dir)] == ["not answering"]
    _until(lambda: probe(url) is None, 120)
    assert stack.pid("triton") != before
    assert [one.state for one in control.probed(stack.run_dir)] == ["running"]
