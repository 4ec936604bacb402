"""What a GPU is worth to serving: two Tritons with the same release, one on the GPU, one that CUDA is hidden from.

    .venv/bin/python -m benchmarks.ranking_gpu --out ranking_gpu.json [--seconds 60]

Needs a GPU that the Triton environment's torch can use, and ends where there is none. Users, items and requests as in
`benchmarks/recommend.py`; the release is `ours` of `benchmarks/ranking_recommend.py` with drawn weights. The servers
take turns; a figure is the median over rounds, of which there are as many as fit into `--seconds`.

recommend.1x<n>    ids to scores through the gRPC client and both models: one user, n candidates a request
ranker.<u>x<n>     the model `ranker` alone, given tensors (100 KB a user of 100 candidates, over gRPC too): u requests
                   sent at once, until the last is answered; Triton puts together what waits
ranker_ms          what Triton counts for the ranker, of one batch of `batch` requests, copies to the GPU included
largest_difference  between the scores of the two servers
"""

import argparse
import json
import os
import queue
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

from benchmarks.ranking import machine, tensors
from benchmarks.ranking_recommend import SLOTS, drawn, write_rows
from benchmarks.recommend import ITEMS, USERS, stores_in
from ranking.shape import RankerShape
from serving.client import RekiClient
from serving.export import export_release, model_names
from serving.measure import Request, measure
from serving.settings import ServingSettings
from tests.serving.world import RunningTriton, run_triton

RECOMMEND = ((100, 1), (100, 8), (100, 64), (1000, 1), (1000, 8))  # candidates, concurrency
RANKER = ((1, 100, 1), (1, 100, 8), (64, 100, 1), (1, 1000, 1))  # requests at once, candidates, concurrency
_HIDE = "CUDA_VISIBLE_DEVICES"

Figures = dict[str, float]
Inputs = dict[int, list[triton.InferInput]]  # by candidates
Client = triton.InferenceServerClient


@contextmanager
def hidden(gpu: bool) -> Iterator[None]:
    """Processes that are started inside see no GPU, unless `gpu`."""
    before = os.environ.get(_HIDE)
    if not gpu:
        os.environ[_HIDE] = ""
    try:
        yield
    finally:
        os.environ.pop(_HIDE, None)
        if before is not None:
            os.environ[_HIDE] = before


def counted(client: Client, model: str) -> tuple[int, int, int]:
    """Requests, batches and nanoseconds that Triton counts for a model."""
    stats = client.get_inference_statistics(model, as_json=True)["model_stats"][0]
    infer = stats["inference_stats"].get("compute_infer", {})
    return int(stats.get("inference_count", 0)), int(stats.get("execution_count", 0)), int(infer.get("ns", 0))


def for_seconds(
    call: Callable[[triton.InferenceServerClient], object], url: str, workers: int, most_s: float
) -> Figures:
    """`workers` threads with a client each call again and again; milliseconds of a call, calls per second."""
    taken: list[float] = []
    end = time.perf_counter() + most_s

    def work() -> None:
        with Client(url) as client:
            while (begin := time.perf_counter()) < end:
                call(client)
                taken.append((time.perf_counter() - begin) * 1e3)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - begin
    p50, p99 = np.percentile(taken, [50, 99])
    return {"n": len(taken), "p50_ms": float(p50), "p99_ms": float(p99), "rps": len(taken) / wall}


def ranker_inputs(shape: RankerShape, count: int) -> list[triton.InferInput]:
    """Drawn tensors of one user and `count` candidates for the model `ranker`."""
    arrays = {name: tensor.numpy() for name, tensor in tensors(shape, 1, count, torch.device("cpu")).items()}
    arrays["item_first"] = np.arange(count, dtype=np.int32)[None]
    inputs = []
    for name, array in arrays.items():
        one = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        one.set_data_from_numpy(np.ascontiguousarray(array))
        inputs.append(one)
    return inputs


def burst(client: Client, model: str, inputs: list[triton.InferInput], requests: int) -> None:
    """Send so many requests at once, and wait for all answers; raises what any of them raised."""
    if requests == 1:
        client.infer(model, inputs)
        return
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    for _ in range(requests):
        client.async_infer(model, inputs, lambda result, error: answers.put(error))
    for error in [answers.get(timeout=60) for _ in range(requests)]:
        if error is not None:
            raise error


def one_round(
    server: RunningTriton, ranker: str, requests: dict[int, list[Request]], inputs: Inputs, most_s: float
) -> dict[str, Figures]:
    """Every figure of one server, by "what @ concurrency"."""
    found: dict[str, Figures] = {}
    with Client(server.grpc_url) as client:
        for count, workers in RECOMMEND:
            before = counted(client, ranker)
            figures = measure(server.grpc_url, requests[count][: 60 + 5 * workers], workers, warm_up=0)
            found[f"recommend.1x{count} @ {workers}"] = figures | since(before, counted(client, ranker))
        for users, count, workers in RANKER:
            before = counted(client, ranker)
            call = partial(burst, model=ranker, inputs=inputs[count], requests=users)
            figures = for_seconds(call, server.grpc_url, workers, most_s)
            found[f"ranker.{users}x{count} @ {workers}"] = figures | since(before, counted(client, ranker))
    return found


def since(before: tuple[int, int, int], after: tuple[int, int, int]) -> Figures:
    requests, batches, spent = (new - old for new, old in zip(after, before, strict=True))
    # Triton adds a batch's time up once for each of its requests.
    return {"batch": requests / max(batches, 1), "ranker_ms": spent / 1e6 / max(requests, 1)}


def difference(servers: dict[str, RunningTriton], requests: list[Request]) -> float:
    """The largest difference of a score between the servers."""
    scores = {}
    for name, server in servers.items():
        with RekiClient(ServingSettings(recommend_deadline_s=30.0), server.grpc_url) as client:
            scores[name] = np.concatenate([client.recommend(user, items).scores for user, items in requests])
    return float(np.abs(scores["gpu"] - scores["cpu"]).max())


def gpu_processes() -> str:
    """What the driver's own tool says of processes on the GPU: the ranker of `gpu` has to be among them."""
    asked = ["nvidia-smi", "--query-compute-apps=process_name,used_memory", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except OSError as error:
        return str(error)


def requests_of(count: int, users: list[str], items: list[str], draw: np.random.Generator) -> list[Request]:
    return [(users[draw.integers(USERS)], list(draw.choice(items, count, replace=False))) for _ in range(400)]


def run(folder: Path, seconds: float, names: tuple[str, ...]) -> dict[str, object]:
    draw = np.random.default_rng(11)
    with ExitStack() as running:
        release = drawn(folder / "releases", "ours")
        stores = running.enter_context(stores_in(folder))
        write_rows(stores.catalogue, {"ours": release}, draw)
        items = [f"item:{number}" for number in range(ITEMS)]
        users = [f"user:{number}" for number in range(USERS)]
        requests = {count: requests_of(count, users, items, draw) for count in {count for count, _ in RECOMMEND}}
        serving = ServingSettings(item_cache_ttl_s=3600.0, recommend_batch=64)
        servers = {}
        for name in names:
            export_release(
                folder / name / "models", release, SLOTS["ours"], stores.settings, serving, store=stores.store
            )
            with hidden(gpu=name == "gpu"):
                servers[name] = running.enter_context(run_triton(folder / name))
            measure(servers[name].grpc_url, [("nobody", items), *requests[100][:60]], 1, warm_up=0)
        ranker = model_names(release.release_id)[1]
        shape = release.ranker().shape
        inputs = {count: ranker_inputs(shape, count) for _, count, _ in RANKER}
        found: dict[str, object] = {"gpu_processes": gpu_processes()}
        if len(names) > 1:
            found["largest_difference"] = difference(servers, requests[100][:50])
        for server in servers.values():  # the first of each shape compiles and allocates
            one_round(server, ranker, requests, inputs, 0.2)
        end, took, rounds = time.perf_counter() + seconds, 0.0, 0
        made: dict[str, dict[str, list[Figures]]] = {}
        while rounds < 1 or time.perf_counter() + took < end:
            begin = time.perf_counter()
            for name, server in list(servers.items())[:: 1 if rounds % 2 else -1]:
                for what, figures in one_round(server, ranker, requests, inputs, 0.5).items():
                    made.setdefault(what, {}).setdefault(name, []).append(figures)
            took, rounds = time.perf_counter() - begin, rounds + 1
        medians = {
            what: {
                name: {key: round(statistics.median(one[key] for one in many), 3) for key in many[0]}
                for name, many in by.items()
            }
            for what, by in made.items()
        }
        return found | {"rounds": rounds, "figures": medians}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0, help="of measuring; the start comes on top")
    parser.add_argument("--only-cpu", action="store_true", help="without the GPU's half: does the script run?")
    args = parser.parse_args()
    if not torch.cuda.is_available() and not args.only_cpu:
        raise SystemExit("torch sees no GPU here, and nothing was measured")
    folder = Path(tempfile.mkdtemp(prefix="reki-benchmark-"))
    try:
        found = {"machine": machine(1)} | run(folder, args.seconds, ("cpu",) if args.only_cpu else ("cpu", "gpu"))
    except Exception:
        for log in folder.rglob("triton.log"):
            print(f"--- {log}", *log.read_text(errors="replace").splitlines()[-40:], sep="\n")
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
