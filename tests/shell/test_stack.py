"""The stack under its supervisor, with two real services; `tests/test_walk.py` runs all of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import redis

from knowledge.base import TerminalError, TransientError
from reki.embedded.service import Service
from reki.settings import load_settings
from reki.stack import processes
from reki.stack.control import down, failures, is_up
from reki.stack.listener import Deaths
from reki.stack.ports import StackPorts
from reki.stack.stack import Stack
from reki.stack.watch import Watch

pytestmark = pytest.mark.services


def _until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.1)


@pytest.fixture
def make(tmp_path):
    """Makes stacks in temporary folders and leaves none behind."""
    made = []

    def build(name="stack", names=("valkey",), ports=None):
        settings = load_settings(tmp_path, {"REKI_CACHE": os.environ.get("REKI_CACHE", "")})
        folder = tmp_path / name
        stack = Stack(settings, folder / "run", folder / "data", folder / "logs", ports=ports, names=names)
        made.append(stack)
        return stack

    yield build
    for stack in made:
        stack.down()


def test_two_stacks_run_side_by_side_and_leave_nothing_behind(make):
    first, second = make("first", ("valkey", "broker")), make("second")
    notes = []
    first.up(lambda done, total, note: notes.append((done, total, note)))
    second.up()
    redis.Redis.from_url(first.settings.feature_repo.redis_url).set("who", "first")
    assert redis.Redis.from_url(second.settings.feature_repo.redis_url).get("who") is None
    assert notes[-1] == (2, 2, "ready")
    assert {one.state for one in first.status()} == {"running"}
    assert 1 < first.memory_mb() < 1000
    first.down()
    assert processes.marked(first.run_dir) == []
    assert not is_up(first.run_dir)
    assert is_up(second.run_dir)
    second.down()
    assert processes.marked(second.run_dir) == []


def test_a_killed_process_is_started_again(make):
    stack = make()
    stack.up()
    before = stack.pid("valkey")
    os.kill(before, signal.SIGKILL)
    _until(lambda: stack.pid("valkey") not in {None, before})
    assert stack.wait_ready("valkey") < 10
    assert failures(stack.run_dir) == {}


def test_a_process_that_dies_three_times_is_given_up_and_named(make, tmp_path):
    stack = make()
    dying = Service("llm", ("sh", "-c", "echo no model here; exit 3"), probe=lambda: False, title="LLM")
    stack._services.append(dying)  # noqa: SLF001 - no real service dies on demand
    with pytest.raises(
        TransientError, match=r"llm died three times within 30 s of its start .*exit status 3.*no model here"
    ):
        stack.up()
    assert {one.name: one.state for one in stack.status()} == {"valkey": "running", "llm": "given up"}


def test_the_stream_worker_runs_without_torch_and_is_ready_once_it_has_partitions(make):
    stack = make(names=("valkey", "broker", "stream"))
    stack.up()
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.ports.stream_health}/health") as answer:
        assert json.load(answer)["assignment"]
    maps = Path(f"/proc/{stack.pid('stream')}/maps").read_text()
    assert "libtorch" not in maps


def test_deaths_far_apart_are_no_reason_to_give_up():
    now = [0.0]
    deaths = Deaths(lambda: now[0])
    for at in (0, 200, 400, 600):
        now[0] = at
        assert deaths.again("x", 190)
    for at, again in ((620, True), (625, False)):  # three in 30 s, though the first lived long
        now[0] = at
        assert deaths.again("x", 4) is again


def test_a_service_that_dies_again_and_again_after_a_slow_start_is_given_up():
    now = [0.0]
    deaths = Deaths(lambda: now[0])
    given_up = []
    for _ in range(3):
        now[0] += 17
        given_up.append(not deaths.again("slow", 17))
    assert given_up == [False, False, True]
    deaths.forget("slow")
    for lived in (17, 17, 60, 17, 17):  # a life of a minute in between is no crash at the start
        now[0] += lived
        assert deaths.again("slow", lived)


def _process(pid=7, statename="RUNNING", now=20):
    return {"pid": pid, "statename": statename, "start": 0, "now": now}


def test_a_triton_is_restarted_after_three_failures_but_not_for_its_start_or_its_store():
    now, said = [0.0], []

    def look(why, **process):
        now[0] += 5
        said.append(why)
        return watch.why_restart(_process(**process))

    watch = Watch("http://x", lambda url, timeout_s: said[-1], lambda: now[0])
    assert [look("starting") for _ in range(5)] == [None] * 5
    assert look(None) is None
    assert [look("recommend answered 503: the store is away") for _ in range(5)] == [None] * 5
    assert [look("gone"), look("gone"), look(None), look("gone"), look("gone")] == [None] * 5
    assert look("gone") == "gone"
    assert [look("gone", pid=8) for _ in range(5)] == [None] * 5
    assert [look("gone", pid=8, now=300) for _ in range(3)] == [None, None, "gone"]
    assert look("gone", statename="STOPPED") is None


def test_data_survives_a_stop(make):
    ports = StackPorts.drawn()
    with make(ports=ports).running() as stack:
        redis.Redis.from_url(stack.settings.feature_repo.redis_url).set("kept", "yes")
    with make(ports=ports).running() as stack:
        assert redis.Redis.from_url(stack.settings.feature_repo.redis_url).get("kept") == b"yes"


_PARENT = """
import sys, time, pathlib
from reki.settings import load_settings
from reki.stack.stack import Stack
folder = pathlib.Path(sys.argv[1])
Stack(load_settings(folder, {}), folder / "run", folder / "data", folder / "logs", names=("valkey",)).up()
print("up", flush=True)
time.sleep(60)
"""


def test_nothing_outlives_a_parent_that_was_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"up\n"
        run_dir = tmp_path.resolve() / "run"
        assert processes.marked(run_dir)
        parent.kill()
    _until(lambda: not processes.marked(run_dir))
    assert not down(run_dir)


def test_a_stack_whose_supervisor_was_killed_leaves_nothing_behind(make):
    stack = make()
    stack.up(detached=True)
    supervisor = min(processes.marked(stack.run_dir))
    os.kill(supervisor, signal.SIGKILL)
    _until(lambda: not processes.marked(stack.run_dir))
    assert not is_up(stack.run_dir)
    stack.up()
    assert stack.pid("valkey")


def test_a_port_that_a_dying_process_still_holds_is_waited_for(make):
    stack = make()
    with socket.socket() as held:
        held.bind(("127.0.0.1", stack.ports.valkey))
        held.listen()
        threading.Timer(0.7, held.close).start()
        stack.up()
    assert stack.pid("valkey")


def test_a_port_of_another_program_is_named(make):
    stack = make()
    with socket.socket() as held:
        held.bind(("127.0.0.1", stack.ports.valkey))
        held.listen()
        with pytest.raises(TerminalError, match=f"port {stack.ports.valkey} of this clone is in use"):
            stack.up()


def test_ports_of_a_clone_are_drawn_once(tmp_path):
    file = tmp_path / "ports.json"
    assert StackPorts.kept(file) == StackPorts.kept(file)
    file.write_text('{"valkey": 1}')
    assert StackPorts.kept(file).kafka > 1
