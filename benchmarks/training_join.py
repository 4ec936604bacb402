"""Training data of MovieLens-100K through Feast: is it what the index gives, how long does it take, how much memory?

    .venv/bin/python benchmarks/training_join.py --out FILE.json

Writes rows for all 100,000 events (and one copy of each user with one label flipped), joins all 77,277 samples with
service `ranking` in a process of its own, and compares. Recorded knowledge and encodings are those of set-up.
"""

# ruff: noqa: E402 - the path is put right before our own packages are imported

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Run as a script, this file's folder comes first on the path, where `knowledge.py` would stand for that package.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from pyarrow import feather

from feature_repo.schema import DIM, RING, SUMMARY
from knowledge.scenario import load_scenario
from ranking.datasets.movielens import Rating
from ranking.inputs import Samples, Space, build_samples
from ranking.offline.compare import ABSOLUTE, RELATIVE, compare
from ranking.offline.join import Joined, asked
from ranking.offline.rows import Prestored, user_rows
from ranking.offline.store import RowWriter, TrainingStore
from ranking.sources import Sources, encode_texts, item_space
from ranking.split import history_length
from reki.paths import cache_dir

ByUser = Mapping[str, Sequence[Rating]]
FILMS = load_scenario("films")
DATA = cache_dir() / "recbole/recbole/dataset_example/ml-100k"


def vectors(sources: Sources, users: Sequence[str]) -> Space:
    """Real item vectors; summaries are drawn, as HEIN's need a trained release."""
    texts = encode_texts(sources, users, cache_dir() / "encodings")
    draw = torch.Generator().manual_seed(0)
    item_vec = item_space(texts.items, DIM)
    items = torch.cat([torch.zeros(1, SUMMARY), torch.randn(len(item_vec) - 1, SUMMARY, generator=draw)])
    return Space(item_vec, items, torch.randn(len(users), SUMMARY, generator=draw))


def prestored(sources: Sources, space: Space, samples: Samples) -> Prestored:
    names = range(1, len(samples.items) + 1)
    return Prestored(
        "benchmark",
        sources.store.catalogue.anchors,
        {samples.items[row - 1]: space.item_vec[row].numpy() for row in names},
        {samples.items[row - 1]: space.item_summary[row].numpy() for row in names},
        {user: space.user_summary[row].numpy() for row, user in enumerate(samples.users)},
    )


def flips(by_user: ByUser) -> dict[str, int]:
    """One sample of each user, drawn: user -> number among the user's events."""
    draw = np.random.default_rng(11)
    return {user: int(draw.integers(history_length(len(own)), len(own))) for user, own in by_user.items()}


def write(folder: Path, by_user: ByUser, sources: Sources, parts: Prestored) -> dict[str, Any]:
    """Rows of all users and items, and of the flipped copies; how many rows, and how long it took."""
    store = TrainingStore(folder)
    store.create()
    start = time.perf_counter()
    writer, records = RowWriter(store), sources.store.users()
    writer.items(parts)
    for user, own in by_user.items():
        writer.user(user, user_rows(user, own, [records[user]], FILMS, parts))
    writer.close()
    rows, seconds = writer.rows, time.perf_counter() - start
    for user, place in flips(by_user).items():
        own = list(by_user[user])
        own[place] = own[place]._replace(value=1.0 if own[place].value > 3 else 5.0)
        # Up to the event after the flipped one: its row must differ, that of the flipped one must not.
        writer.user(f"{user}.flip", user_rows(user, own[: place + 1], [records[user]], FILMS, parts))
    writer.close()
    return {"rows": rows, "seconds": round(seconds, 1), "rows_per_s": round(rows / seconds)}


def joined(folder: Path, frame: pd.DataFrame, name: str) -> tuple[pa.Table, dict[str, Any]]:
    questions, answers = folder / f"{name}.asked", folder / f"{name}.answer"
    frame.to_feather(questions)
    script = Path(__file__).with_name("training_join_read.py")
    command = [sys.executable, str(script), str(folder), str(questions), str(answers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return feather.read_table(answers), json.loads(done.stdout.splitlines()[-1])


def flipped_features(folder: Path, by_user: ByUser, straight: pa.Table, frame: pd.DataFrame) -> dict[str, int]:
    """How many flipped samples read anything else than before, and how many do 1 µs later (it should be all)."""
    places = flips(by_user)
    starts = {user: number for number, user in reversed(list(enumerate(frame["user_id"])))}
    rows = [starts[user] + place - history_length(len(by_user[user])) for user, place in places.items()]
    asks = frame.iloc[rows].reset_index(drop=True)
    own, _ = joined(folder, asks.assign(user_id=asks["user_id"] + ".flip"), "flipped")
    later = asks.assign(event_timestamp=asks["event_timestamp"] + pd.Timedelta(microseconds=1))
    after, _ = joined(folder, later.assign(user_id=asks["user_id"] + ".flip"), "after")
    before, _ = joined(folder, later, "before")
    return {
        "samples": len(asks),
        "changed": differing(own, straight.take(pa.array(rows))),
        "changed_one_microsecond_later": differing(after, before),
    }


def differing(left: pa.Table, right: pa.Table) -> int:
    names = [name for name in left.column_names if name not in ("user_id", "event_timestamp")]
    names = [name for name in names if "written_at" not in name]
    one, two = (table.select(names).to_pylist() for table in (left, right))
    return sum(a != b for a, b in zip(one, two, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--users", type=int, help="only the first N")
    options = parser.parse_args()
    sources = Sources.load(options.data)
    by_user = dict(list(sources.data.by_user().items())[: options.users])
    known = {user: record for user, record in sources.store.users().items() if user in by_user}
    anchors = sources.store.catalogue.anchors
    result: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    result["tolerance"] = {"relative": RELATIVE, "absolute": ABSOLUTE}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for page_blind in (False, True):
            samples = build_samples(sources.data, known, anchors, FILMS, RING, page_blind)
            if not page_blind:
                space = vectors(sources, samples.users)
                result["write"] = write(folder, by_user, sources, prestored(sources, space, samples))
            frame = asked(by_user, page_blind)
            table, cost = joined(folder, frame, "all")
            found = compare(samples, space, Joined.of(table))
            result["page_blind" if page_blind else "strict_order"] = {
                "samples": found.samples,
                "mismatches": found.total,
                "by_input": found.mismatches,
                "largest_difference": {key: float(f"{gap:.2g}") for key, gap in found.largest.items()},
                "join": cost,
            }
            if not page_blind:
                result["own_label_flipped"] = flipped_features(folder, by_user, table, frame)
    print(json.dumps(result, indent=1))
    for order in ("strict_order", "page_blind"):
        print(f"{order}: mismatches = {result[order]['mismatches']} of {result[order]['samples']} samples")
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
