"""How fast the feature writer is beside Feast's own push, and what a user and an item cost in Redis.

Run: `.venv/bin/python benchmarks/writer.py --out writer.json`. It starts a Valkey of its own in a temporary folder and
takes about a minute. Rates (rows/s) are for view `user_experienced` (292 floats a row), medians of five rounds; `ratio`
is the median over rounds of our rate divided by that of `FeatureStore.push` in the same round, online only for both.
Memory is `MEMORY USAGE` (all samples) of whole hashes: vectors, texts, our fields and the key; once for each limit up
to which the server keeps a hash with long values in one block (`hash-max-listpack-value`).
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

BATCHES = (1, 100, 1000)
ROWS = {1: 100, 100: 2_000, 1000: 4_000}  # rows per round
ROUNDS = 5
LISTPACK = (64, 512, 2048)  # the first is the server's default
IDS = 300  # entities whose memory is measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    out = parser.parse_args().out
    sys.modules["torch"] = None  # type: ignore[assignment]  # Feast would load it; no writer needs it
    from reki.embedded import valkey

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with valkey.start(folder / "valkey") as server:
            figures = {
                "rows_per_s": rates(server.url, folder),
                "bytes_by_listpack_value": {str(limit): memory(server.url, limit) for limit in LISTPACK},
            }
    text = json.dumps(figures, indent=2)
    print(text)
    if out:
        out.write_text(text + "\n")


def rates(url: str, folder: Path) -> dict[str, dict[str, float]]:
    """Rows per second of our writer (online; with offline rows) and of Feast's push, per batch size."""
    import redis
    from feast import FeatureStore

    from feature_repo import repo
    from feature_repo.keys import Keys
    from feature_repo.offline import OfflineBuffer
    from feature_repo.settings import FeatureSettings
    from feature_repo.writer import FeatureWriter

    settings = FeatureSettings(
        namespace="bench",
        redis_url=url,
        offline_dir=folder / "offline",
        registry_path=folder / "registry.db",
        feast_repo=folder / "repo",
    )
    repo.apply(settings)
    store = FeatureStore(repo_path=str(settings.feast_repo))
    client, keys = redis.Redis.from_url(url), Keys("bench")
    offline = OfflineBuffer(settings.offline_dir)
    online_writer, both_writer = FeatureWriter(client, keys), FeatureWriter(client, keys, offline)
    rev = iter(range(10**9))

    def ours(writer: FeatureWriter, size: int) -> None:
        number = next(rev)
        writer.write([experienced(f"u{n}", number) for n in range(size)])

    def push(size: int) -> None:
        store.push("user_experienced_green_push", frame(size))

    figures = {}
    for size in BATCHES:
        push(size)  # warm: registry cache, scripts, connections
        ours(both_writer, size)
        rounds = []
        for _ in range(ROUNDS):
            mine = rate(partial(ours, online_writer, size), size)
            theirs = rate(partial(push, size), size)
            both = rate(partial(ours, both_writer, size), size, after=both_writer.flush)
            rounds.append({"reki": mine, "reki_with_offline": both, "feast_push": theirs, "ratio": mine / theirs})
        figures[str(size)] = {name: round(median(found[name] for found in rounds), 2) for name in rounds[0]}
    return figures


def rate(step: Callable[[], None], size: int, after: Callable[[], None] = lambda: None) -> float:
    calls = ROWS[size] // size
    start = time.perf_counter()
    for _ in range(calls):
        step()
    after()
    return calls * size / (time.perf_counter() - start)


def experienced(user_id: str, rev: int):  # noqa: ANN201 - EntityWrite, imported late so that torch stays out
    from feature_repo.records import EntityWrite, FeatureRow

    values = {"experienced_vec": VECTOR[288], "experienced_stats": VECTOR[4]}
    return EntityWrite("user", user_id, 0, (FeatureRow("user_experienced", values, rev, release=RELEASE, slot="blue"),))


def frame(size: int):  # noqa: ANN201 - pandas.DataFrame, imported late
    import pandas as pd

    now = datetime.now(UTC)
    return pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in range(size)],
            "event_timestamp": now,
            "created_timestamp": now,
            "experienced_vec_green": [VECTOR[288]] * size,
            "experienced_stats_green": [VECTOR[4]] * size,
            "experienced_rev_green": 1,
            "experienced_release_green": RELEASE,
            "experienced_written_at_green": 1,
        }
    )


RELEASE = "0123456789ab"
VECTOR = {width: np.random.default_rng(width).normal(size=width).astype(np.float32) for width in (4, 32, 40, 144, 288)}


def memory(url: str, listpack: int) -> dict[str, float]:
    """Mean bytes of a user's and an item's whole hash: what the ranker reads in one slot, and with texts."""
    import redis

    from feature_repo.keys import Keys
    from feature_repo.records import EntityWrite, FeatureRow
    from feature_repo.writer import FeatureWriter
    from knowledge.recorded import RecordedStore

    client, keys = redis.Redis.from_url(url), Keys(f"memory{listpack}")
    client.config_set("hash-max-listpack-value", listpack)
    writer = FeatureWriter(client, keys)
    known = RecordedStore.load()
    now = 1_800_000_000_000_000

    def mean(entity: str, ids: list[str]) -> float:
        sizes = [client.execute_command("MEMORY", "USAGE", keys.row_key(entity, i), "SAMPLES", 0) for i in ids]
        return round(float(np.mean(sizes)), 1)

    def user(user_id: str, *rows: FeatureRow) -> EntityWrite:
        return EntityWrite("user", user_id, 0, rows)

    users = list(known.users())[:IDS]
    items = list(known.items())[:IDS]
    film_ids = [str(n) for n in range(200, 250)]
    history = FeatureRow(
        "user_history",
        {"history_item_ids": film_ids, "history_values": [4.0] * 50, "history_through": now},
        100,
    )
    expected = FeatureRow(
        "user_expected",
        {
            "expected_vec": VECTOR[288],
            "expected_anchors": VECTOR[40],
            "expected_summary": VECTOR[32],
            "expected_source": "recorded-llm|recorded-1|ml-100k-1",
        },
        100,
        release=RELEASE,
        slot="blue",
    )
    figures = {}
    writer.write([user(user_id, history) for user_id in users])
    figures["user_history"] = mean("user", users)
    writer.write([experienced(user_id, 100) for user_id in users])
    figures["user_history_experienced"] = mean("user", users)
    writer.write([user(user_id, expected) for user_id in users])
    figures["user_ranking_one_slot"] = mean("user", users)
    vec = FeatureRow(
        "item_vector", {"item_vec": VECTOR[144], "item_summary": VECTOR[32]}, 0, release=RELEASE, slot="blue"
    )
    writer.write([EntityWrite("item", item_id, 0, (vec,)) for item_id in items])
    figures["item_ranking_one_slot"] = mean("item", items)
    writer.write([user(user_id, _user_texts(known.users()[user_id], now)) for user_id in users])
    figures["user_with_texts"] = mean("user", users)
    writer.write([EntityWrite("item", item_id, 0, _item_texts(known.items()[item_id], now)) for item_id in items])
    figures["item_with_texts"] = mean("item", items)
    return figures


def _user_texts(record, now: int):  # noqa: ANN001, ANN202 - a recorded Knowledge and a FeatureRow, imported late
    from feature_repo.records import FeatureRow

    values = {
        "knowledge_factors": json.dumps(record.factors),
        "knowledge_expectations": record.expectations.model_dump_json() if record.expectations else "{}",
        "knowledge_mode": "recorded",
        "knowledge_model": record.model,
        "knowledge_template_version": record.template_version,
        "knowledge_catalogue_version": record.catalogue_version,
        "knowledge_through": now,
    }
    return FeatureRow("user_knowledge", values, 100)


def _item_texts(factors: dict[str, str], now: int):  # noqa: ANN202 - a pair of FeatureRows, imported late
    from feature_repo.records import FeatureRow

    knowledge = {
        "item_factors": json.dumps(factors),
        "item_knowledge_mode": "recorded",
        "item_knowledge_model": "recorded-llm",
        "item_knowledge_template_version": "recorded-1",
    }
    profile = {"item_title": "A title of ordinary length (1995)", "item_fields": '{"genres": "Comedy, Drama"}'}
    return FeatureRow("item_knowledge", knowledge, 0), FeatureRow("item_profile", profile, 0)


if __name__ == "__main__":
    main()
