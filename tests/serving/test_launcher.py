import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from reki.embedded.ports import draw
from serving import launcher
from serving.launcher import (
    Ports,
    probe,
    remove_shared_memory,
    shared_memory_prefix,
    start_command,
    wait_ready,
)
from tests.serving.world import TRITON_PYTHON

SHM = Path("/dev/shm")


def test_nobody_there_is_an_answer_and_not_an_exception():
    assert "is not there" in probe("http://127.0.0.1:9", timeout_s=0.5)


def test_waiting_ends_at_once_when_the_server_has_ended():
    begin = time.monotonic()
    with pytest.raises(ChildProcessError):
        wait_ready("http://127.0.0.1:9", 60, alive=lambda: False)
    with pytest.raises(TimeoutError, match="is not there"):
        wait_ready("http://127.0.0.1:9", 0.2)
    assert time.monotonic() - begin < 10


def test_two_stacks_never_remove_each_others_shared_memory(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    regions = [SHM / f"{shared_memory_prefix(folder)}left" for folder in (ours, theirs)]
    for region in regions:
        region.touch()
    try:
        assert remove_shared_memory(ours) == 1
        assert [region.exists() for region in regions] == [False, True]
    finally:
        for region in regions:
            region.unlink(missing_ok=True)


MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils

from serving.triton_start import check_start

class TritonPythonModel:
    def initialize(self, args):
        check_start(pb_utils)

    def execute(self, requests):
        shape = [request.inputs()[1].as_numpy().shape for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("scores", np.full(s, SCORE, np.float32))]) for s in shape]
"""
CONFIG = """
backend: "python"
max_batch_size: 8
input [ { name: "user_id" data_type: TYPE_STRING dims: [1] }, { name: "item_ids" data_type: TYPE_STRING dims: [-1] } ]
output [ { name: "scores" data_type: TYPE_FP32 dims: [-1] } ]
"""


@pytest.mark.services
@pytest.mark.skipif(not TRITON_PYTHON.exists(), reason="no .venv-triton: `sh scripts/setup` makes it")
def test_a_start_listens_on_loopback_alone_becomes_the_server_and_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "models/recommend/1"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(MODEL.replace("SCORE", "float('nan')"))
    (folder.parent / "config.pbtxt").write_text(CONFIG)
    ports = Ports(*draw(3))
    url = f"http://127.0.0.1:{ports.http}"
    run_dir = tmp_path / "run"
    command = start_command(TRITON_PYTHON, tmp_path / "models", run_dir, ports)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while "cannot be trusted" not in (why := probe(url) or ""):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, why
            time.sleep(0.2)
        assert os.readlink(f"/proc/{process.pid}/exe").endswith("/tritonserver")
        assert listening(process.pid) == {("127.0.0.1", port) for port in (ports.http, ports.grpc, ports.metrics)}
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not list(SHM.glob(f"{shared_memory_prefix(run_dir)}*"))


def listening(pid):
    """Addresses on which a process of ours listens."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            target = os.readlink(entry)
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            address, port = words[1].split(":")
            if words[3] == "0A" and words[9] in inodes:
                mapped = address.removeprefix("0000000000000000FFFF0000")
                found.add((".".join(str(byte) for byte in reversed(bytes.fromhex(mapped))), int(port, 16)))
    return found


def test_the_command_names_everything_and_leaves_nothing_to_the_environment(tmp_path):
    command = start_command(Path("python"), tmp_path / "models", tmp_path / "run", Ports(1, 2, 3))
    assert command[:3] == ["python", "-m", "serving.launcher"]
    assert json.loads(json.dumps(command))[-6:] == ["--http-port", "1", "--grpc-port", "2", "--metrics-port", "3"]


def test_libraries_that_the_caller_finds_are_still_found_and_come_last(monkeypatch, tmp_path):
    """The GPU's driver may be on LD_LIBRARY_PATH alone: without it the ranker would fall to the CPU without a word."""
    monkeypatch.setattr(launcher, "_site", lambda: tmp_path)
    own = launcher.environment({})["LD_LIBRARY_PATH"]
    assert own.endswith(f"{tmp_path}/nvidia_pytriton.libs")
    assert launcher.environment({"LD_LIBRARY_PATH": "/driver"})["LD_LIBRARY_PATH"] == f"{own}:/driver"
