"""The join of `training_join.py` alone, in a process of its own, so that its peak memory is that of the join."""

# ruff: noqa: E402 - the path is put right before our own packages are imported

import json
import sys
import time
from pathlib import Path

# Run as a script, this file's folder comes first on the path, where `knowledge.py` would stand for that package.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import pandas as pd
from pyarrow import feather

from ranking.offline.join import read
from ranking.offline.store import TrainingStore


def peak_mb() -> int:
    """Most resident memory so far. Not `getrusage`: that remembers the process that started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)


def main(folder: str, questions: str, answers: str) -> None:
    feast = TrainingStore(Path(folder)).feast()
    frame = pd.read_feather(questions)
    read(feast, frame.head(1))  # whatever is imported or opened at the first call
    before, start = peak_mb(), time.perf_counter()
    table = read(feast, frame)
    seconds, peak = time.perf_counter() - start, peak_mb()
    feather.write_feather(table, answers, compression="uncompressed")
    print(
        json.dumps(
            {
                "seconds": round(seconds, 2),
                "samples_per_s": round(len(frame) / seconds),
                "peak_rss_mb": peak,
                "rss_before_mb": before,
                "answer_mb": round(table.nbytes / 2**20),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
