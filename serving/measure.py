"""Measures `recommend` through the public client: latency percentiles and requests per second."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import numpy as np

from serving.client import MODEL, AsyncRekiClient
from serving.settings import ServingSettings

Request = tuple[str, Sequence[str]]  # user id, candidate ids


def measure(
    client_url: str, requests: Sequence[Request], concurrency: int, warm_up: int = 20, model: str = MODEL
) -> dict[str, float]:
    """Send `requests`, `concurrency` at a time, each worker the next as soon as its last is answered.

    `client_url` is Triton's gRPC address, host:port. `warm_up` requests go ahead and are not counted. Returns n,
    concurrency, p50_ms, p99_ms, mean_ms and rps; client and server share the machine, so rps is of both together.
    Raises what `recommend` raises: a figure with failures in it is no figure.
    """
    return asyncio.run(_measure(client_url, requests, concurrency, warm_up, model))


async def _measure(
    client_url: str, requests: Sequence[Request], concurrency: int, warm_up: int, model: str
) -> dict[str, float]:
    settings = ServingSettings(recommend_deadline_s=30.0, recommend_in_flight=max(concurrency, 1))
    async with AsyncRekiClient(settings, client_url, model) as client:
        for user_id, item_ids in requests[:warm_up]:
            await client.recommend(user_id, item_ids)
        waiting = iter(requests)
        taken: list[float] = []
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(_work(client, waiting, taken))
        wall = time.perf_counter() - begin
    milliseconds = np.array(taken) * 1000
    return {
        "n": len(taken),
        "concurrency": concurrency,
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 3),
        "p99_ms": round(float(np.percentile(milliseconds, 99)), 3),
        "mean_ms": round(float(milliseconds.mean()), 3),
        "rps": round(len(taken) / wall, 1),
    }


async def _work(client: AsyncRekiClient, waiting: Iterator[Request], taken: list[float]) -> None:
    for user_id, item_ids in waiting:
        begin = time.perf_counter()
        await client.recommend(user_id, item_ids)
        taken.append(time.perf_counter() - begin)
