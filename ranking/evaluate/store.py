"""Results on disk: one file a run, written whole or not at all, so that kill -9 costs the runs in flight alone.

    OUT/<dataset>-<data version>/samples.npz                       user, label, time of every sample
    OUT/<dataset>-<data version>/<code version>/<job>.npz          predictions, and how they were made

Numbers of samples are rows of `samples.npz`. Metrics are computed from predictions, so a new metric costs no training.
"""

import fcntl
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from knowledge.base import TerminalError
from ranking.evaluate.metrics import Floats, Numbers

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Result:
    """Predictions of one run. `valid` and `test`: logits of the samples `valid_numbers` and `test_numbers`."""

    valid: Floats
    test: Floats
    valid_numbers: Numbers
    test_numbers: Numbers
    about: Mapping[str, Any]  # epochs, cpu_s, wall_s, ...


@dataclass(frozen=True)
class SampleTable:
    """Whose samples they are: user number, label (1 = liked)."""

    user: Numbers
    label: Floats
    item: Numbers


class ResultStore:
    """The folder of one data set's results."""

    def __init__(self, out: Path, dataset: str, data_version: str) -> None:
        self.data_version = data_version
        self.folder = out / f"{dataset}-{data_version}"

    def path(self, code: str, name: str) -> Path:
        """Where the result of this run stands or will stand."""
        return self.folder / code / f"{name}.npz"

    def write(self, code: str, name: str, result: Result) -> None:
        """Put the result in place, durably."""
        arrays: Arrays = {
            "valid": result.valid.astype(np.float32),
            "test": result.test.astype(np.float32),
            "valid_numbers": result.valid_numbers.astype(np.int32),
            "test_numbers": result.test_numbers.astype(np.int32),
            "about": np.frombuffer(json.dumps(dict(result.about)).encode(), dtype=np.uint8),
        }
        put(self.path(code, name), arrays)

    def read(self, code: str, name: str) -> Result:
        """Raises `TerminalError` (`bad_result`) for a damaged file."""
        arrays = take(self.path(code, name))
        try:
            about = json.loads(arrays["about"].tobytes())
            return Result(arrays["valid"], arrays["test"], arrays["valid_numbers"], arrays["test_numbers"], about)
        except (ValueError, KeyError) as error:
            path = self.path(code, name)
            raise TerminalError(
                "bad_result", f"{path} is damaged ({error!r}): delete it, and it is made again"
            ) from error

    def write_samples(self, table: SampleTable) -> None:
        """Once per data set; later calls find it there."""
        path = self.folder / "samples.npz"
        if not path.exists():
            put(path, {"user": table.user, "label": table.label, "item": table.item})

    def samples(self) -> SampleTable:
        """Raises `TerminalError` (`no_results`) before the first run."""
        path = self.folder / "samples.npz"
        if not path.exists():
            if next(self.folder.glob("*/*.npz"), None) is not None:
                raise TerminalError("no_results", f"{path} is missing: delete one result there, and a run writes both")
            raise TerminalError("no_results", f"nothing was evaluated in {self.folder} yet")
        arrays = take(path)
        try:
            return SampleTable(arrays["user"], arrays["label"], arrays["item"])
        except KeyError as error:
            raise TerminalError(
                "bad_result", f"{path} lacks {error}: delete it and one result, and run again"
            ) from error


def put(path: Path, arrays: Arrays) -> None:
    """Write an .npz file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def take(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read an .npz file; raises `TerminalError` (`bad_result`) if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TerminalError("bad_result", f"{path} is damaged ({error}): delete it, and it is made again") from error


@contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Hold the folder; raises `TerminalError` (`busy`) if another process evaluates into it."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TerminalError("busy", f"another evaluation is writing into {out}: wait for it, or stop it") from error
        yield
