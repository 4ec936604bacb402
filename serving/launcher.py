"""Start the plain tritonserver that nvidia-pytriton carries, on loopback, with an ordinary model repository.

    .venv-triton/bin/python -m serving.launcher --repo MODELS --run-dir RUN \
        --http-port 8000 --grpc-port 8001 --metrics-port 8002

The process becomes tritonserver (same pid), so a supervisor's signals reach it: SIGTERM ends it in about 3 s.
Only the standard library is imported: the module serves the Triton environment and the main one alike.
"""

import argparse
import hashlib
import importlib.util
import json
import math
import os
import shutil
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
MODEL = "recommend"
_EXIT_TIMEOUT_S = 5
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (Triton's python backend puts its regions there, nowhere else)


@dataclass(frozen=True)
class Ports:
    """Where one Triton listens on loopback."""

    http: int
    grpc: int
    metrics: int


def start_command(triton_python: Path, repository: Path, run_dir: Path, ports: Ports) -> list[str]:
    """The command line that starts Triton from any environment; `triton_python` is the Triton environment's."""
    return [
        *(str(triton_python), "-m", "serving.launcher", "--repo", str(repository), "--run-dir", str(run_dir)),
        *("--http-port", str(ports.http), "--grpc-port", str(ports.grpc), "--metrics-port", str(ports.metrics)),
    ]


def command(repository: Path, run_dir: Path, ports: Ports, extra: list[str] | None = None) -> list[str]:
    """The command line of tritonserver itself; copies the python backend into `run_dir`. Triton environment only."""
    source = _site() / "pytriton" / "tritonserver"
    return [
        str(source / "bin" / "tritonserver"),
        *("--model-repository", str(repository), "--backend-directory", str(_backends(source, run_dir))),
        *("--cache-directory", str(source / "caches")),
        *("--http-address", LOOPBACK, "--http-port", str(ports.http)),
        *("--grpc-address", LOOPBACK, "--grpc-port", str(ports.grpc)),
        *("--metrics-address", LOOPBACK, "--metrics-port", str(ports.metrics)),
        # Explicit control: a roll-out loads new models by name and never waits for a poll of the folder.
        *("--model-control-mode", "explicit", "--load-model=*"),
        *("--exit-timeout-secs", str(_EXIT_TIMEOUT_S), "--allow-gpu-metrics", "false"),
        *("--backend-config", f"python,shm-region-prefix-name={shared_memory_prefix(run_dir)}"),
        *(extra or []),
    ]


def environment(base: dict[str, str]) -> dict[str, str]:
    """`base` with the paths that the server and its stub need. Triton environment only."""
    libraries = [str(sysconfig.get_config_var("LIBDIR")), str(_site() / "nvidia_pytriton.libs")]
    # What was there before comes last: it may be the only way to the GPU's driver.
    libraries += filter(None, [base.get("LD_LIBRARY_PATH")])
    return {
        # numpy's products in a model are small: a second thread would only wait for its turn.
        "OPENBLAS_NUM_THREADS": "1",
        **base,
        # This interpreter's libpython first, or the stub takes another one and fails in odd ways.
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        # The stub's embedded Python finds python3 on PATH and through its pyvenv.cfg the site-packages.
        "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), base.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
    }


def shared_memory_prefix(run_dir: Path) -> str:
    """Name of this stack's regions in /dev/shm: its own, so that leftovers can be told from a neighbour's."""
    return f"reki_{hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:12]}_"


def remove_shared_memory(run_dir: Path) -> int:
    """Remove the regions that a killed Triton of this `run_dir` left behind; returns how many."""
    leftovers = list(_SHARED_MEMORY.glob(f"{shared_memory_prefix(run_dir)}*"))
    for region in leftovers:
        region.unlink(missing_ok=True)
    return len(leftovers)


def probe(http_url: str, timeout_s: float = 2.0, model: str = MODEL) -> str | None:
    """One real inference over HTTP; returns None where it was answered, else why not, in one line.

    Triton's health says "ready" also after a model's process was killed: only an inference tells.
    """
    body = {
        "inputs": [
            {"name": "user_id", "datatype": "BYTES", "shape": [1, 1], "data": ["reki-probe"]},
            {"name": "item_ids", "datatype": "BYTES", "shape": [1, 1], "data": ["reki-probe"]},
        ],
        "outputs": [{"name": "scores"}],
    }
    request = urllib.request.Request(  # noqa: S310  (the address is a setting; it is http)
        f"{http_url}/v2/models/{model}/infer",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            outputs = json.load(answer)["outputs"]
    except urllib.error.HTTPError as error:
        with error:
            return f"{model} answered {error.code}: {error.read(300).decode(errors='replace').strip()}"
    except (OSError, ValueError, KeyError) as error:
        return f"{model} at {http_url} is not there: {error}"
    scores = outputs[0]["data"]
    if len(scores) != 1 or not math.isfinite(scores[0]):
        return f"{model} answered {scores!r} for one unknown item: its scores cannot be trusted"
    return None


def wait_ready(http_url: str, deadline_s: float, alive: Callable[[], bool] = lambda: True) -> float:
    """Wait until an inference is answered; returns the seconds waited.

    Raises `TimeoutError` at the deadline and `ChildProcessError` as soon as `alive()` says that the server ended.
    """
    begin = time.monotonic()
    while (why := probe(http_url)) is not None:
        if not alive():
            raise ChildProcessError("tritonserver ended before it was ready: see its log")
        if time.monotonic() - begin > deadline_s:
            raise TimeoutError(f"Triton is not ready after {deadline_s:.0f} s: {why}")
        time.sleep(0.1)
    return time.monotonic() - begin


def _site() -> Path:
    found = importlib.util.find_spec("pytriton")
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"{sys.executable} has no nvidia-pytriton: start Triton with .venv-triton/bin/python")
    return Path(found.submodule_search_locations[0]).parent


def _backends(source: Path, run_dir: Path) -> Path:
    """Copy the python backend and the stub for this Python into `run_dir`; returns the folder of backends."""
    target = run_dir / "backends" / "python"
    target.mkdir(parents=True, exist_ok=True)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for file in (
        source / "backends" / "python" / "libtriton_python.so",
        source / "backends" / "python" / "triton_python_backend_utils.py",
        source / "python_backend_stubs" / version / "triton_python_backend_stub",
    ):
        # Atomic: an orphan stub of an earlier run may still be executing the old file (ETXTBSY).
        temporary = target / f"{file.name}.{os.getpid()}"
        shutil.copy2(file, temporary)
        temporary.replace(target / file.name)
    return target.parent


def main() -> None:
    """Replace this process by tritonserver."""
    parser = argparse.ArgumentParser(prog="serving.launcher", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repo", required=True, type=Path, help="Triton model repository (serving.export writes it)")
    parser.add_argument("--run-dir", required=True, type=Path, help="folder for backend copies")
    parser.add_argument("--http-port", required=True, type=int)
    parser.add_argument("--grpc-port", required=True, type=int)
    parser.add_argument("--metrics-port", required=True, type=int)
    parser.add_argument("extra", nargs="*", help="further arguments of tritonserver, after --")
    args = parser.parse_args()
    remove_shared_memory(args.run_dir)
    ports = Ports(args.http_port, args.grpc_port, args.metrics_port)
    line = command(args.repo.resolve(), args.run_dir.resolve(), ports, args.extra)
    os.execve(line[0], line, environment(dict(os.environ)))  # noqa: S606  (a list, no shell)


if __name__ == "__main__":
    main()
