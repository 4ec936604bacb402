"""Train a release on MovieLens-100K and its recorded knowledge: `python -m ranking.train --help`.

On all users but those of --without-users, for as long as the folds took. --check-split: on the training users of the
seed-1234 split alone, stopped by its validation users.

One JSON object a line on stdout: {"stage", "done", "total"} while it works; at the end {"stage": "release",
"release_id", "path", "temperature", "metrics", "training", "wall_s", "cpu_s"}; on failure {"stage": "error", "reason",
"message"}, exit code 2.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from knowledge.base import RekiError
from ranking.training import TrainOptions, train


def main(arguments: Sequence[str]) -> int:
    """Entry point; returns the exit code."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.threads < 1 or chosen.epochs < 0:
        parser.error("--threads must be 1 or more, --epochs 0 or more")
    torch.set_num_threads(chosen.threads)
    begin = time.monotonic()
    shown: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        # A line a tenth of a second at most: a bar needs no more, and a pipe must not slow training down.
        if done in (0, total) or time.monotonic() - shown.get(stage, 0.0) > 0.1:
            shown[stage] = time.monotonic()
            _say(stage=stage, done=done, total=total)

    try:
        without = frozenset(chosen.without_users.read_text().split()) if chosen.without_users else frozenset()
        options = TrainOptions(
            chosen.data,
            chosen.encodings,
            chosen.out,
            without,
            chosen.encoder,
            chosen.seed,
            chosen.check_split,
            chosen.epochs or None,
        )
        release = train(options, report)
    except (RekiError, OSError, UnicodeDecodeError) as error:
        _say(stage="error", reason=getattr(error, "reason", "no_file"), message=str(error))
        return 2
    _say(
        stage="release",
        release_id=release.release_id,
        path=str(release.path),
        temperature=release.temperature,
        metrics=dict(release.metrics),
        training=dict(release.about.training),
        wall_s=round(time.monotonic() - begin, 1),
        cpu_s=round(time.process_time(), 1),
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ranking.train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of MovieLens-100K")
    parser.add_argument("--encodings", type=Path, required=True, help="folder of cached text encodings")
    parser.add_argument("--out", type=Path, required=True, help="folder of releases; a new one is made in it")
    parser.add_argument("--without-users", type=Path, help="file of user ids, one a line, to keep out of training")
    parser.add_argument("--encoder", default="auto", help="sentence encoder (encoders.settings)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--check-split",
        action="store_true",
        help="train on the seed-1234 split's training users, stop by its validation users, report both AUCs",
    )
    parser.add_argument(
        "--epochs", type=int, default=0, help="0 = as settled by the folds; with --check-split the most, 0 = 12"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; the steps are too small for more")
    return parser


def _say(**line: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
