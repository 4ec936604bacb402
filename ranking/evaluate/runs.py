"""The runs of a comparison: which are there already, which are still to be trained, and training those."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

import knowledge
from knowledge.base import TerminalError
from ranking.evaluate.plan import Job
from ranking.evaluate.pool import Event, Pool
from ranking.evaluate.store import Result, ResultStore
from ranking.evaluate.version import code_version, data_version


@dataclass(frozen=True)
class Places:
    """Where things are: the data set, encodings of texts, what may be kept between runs, the results."""

    data: Path
    encodings: Path
    cache: Path
    out: Path


def wrong(result: Result, samples: int | None) -> str:
    """What makes a result unusable, or nothing; `samples`: how many samples there are, if that is known."""
    if not isinstance(result.about, dict) or not all(
        isinstance(result.about.get(name), int | float) for name in ("epochs", "cpu_s")
    ):
        return "how it was made is not told"
    for logits, numbers in ((result.valid, result.valid_numbers), (result.test, result.test_numbers)):
        if logits.ndim != 1 or logits.shape != numbers.shape or not np.issubdtype(numbers.dtype, np.integer):
            return f"{logits.shape} predictions of {numbers.shape} samples"
        if not np.isfinite(logits).all():
            return "a prediction is not a finite number"
        if samples is not None and len(numbers) and not 0 <= numbers.min() <= numbers.max() < samples:
            return f"it is of samples beyond the {samples} that there are"
    return ""


@dataclass(frozen=True)
class Runs:
    """Jobs and their results. Results of other code versions count only where they are named in `reuse`.

    `models` names what has `build_fold` and `train_variant`: a module, or "module:object". `package` holds one module
    a backbone.
    """

    dataset: str
    places: Places
    jobs: Sequence[Job]
    models: str
    package: str
    reuse: Sequence[str] = ()

    @cached_property
    def store(self) -> ResultStore:
        """Results of this data set and this recorded knowledge."""
        recorded = Path(knowledge.__file__).parent / "data"
        return ResultStore(self.places.out, self.dataset, data_version([self.places.data, recorded]))

    @cached_property
    def modules(self) -> dict[str, list[str]]:
        """The modules that decide a backbone's results."""
        names = dict.fromkeys(job.backbone for job in self.jobs)
        return {name: [self.models.split(":")[0], f"{self.package}.{name}"] for name in names}

    @cached_property
    def versions(self) -> dict[str, str]:
        """Code version of each backbone's results."""
        return {name: code_version(modules) for name, modules in self.modules.items()}

    def found(self, job: Job) -> str | None:
        """Code version of the result that counts for this run, or None if it is still to be made."""
        for code in (self.versions[job.backbone], *self.reuse):
            if self.store.path(code, job.name).exists():
                return code
        return None

    def read(self, job: Job) -> Result:
        """The result of a run that has one; raises `TerminalError` (`bad_result`) for one that cannot be used."""
        code = str(self.found(job))
        result = self.store.read(code, job.name)
        problem = wrong(result, self._samples)
        if problem:
            path = self.store.path(code, job.name)
            raise TerminalError("bad_result", f"{path} is damaged ({problem}): delete it, and it is made again")
        return result

    @cached_property
    def _samples(self) -> int | None:
        """How many there are; None before the first run. Raises `TerminalError` (`bad_result`)."""
        path = self.store.folder / "samples.npz"
        if not path.exists():
            return None
        table = self.store.samples()
        lengths = {len(table.user), len(table.item), len(table.label)}
        if len(lengths) > 1:
            raise TerminalError("bad_result", f"{path} is damaged: delete it and one result, and run again")
        return lengths.pop()

    def pending(self) -> list[Job]:
        """Runs without a result."""
        return [job for job in self.jobs if self.found(job) is None]

    def seen(self) -> dict[tuple[str, str], list[float]]:
        """Seconds of the finished runs, by (backbone, variant)."""
        seen: dict[tuple[str, str], list[float]] = {}
        for job in self.jobs:
            wall_s = None if self.found(job) is None else self.read(job).about.get("wall_s")
            if wall_s is not None:
                seen.setdefault((job.backbone, job.variant), []).append(float(wall_s))
        return seen

    def expected(self) -> dict[tuple[str, str], list[float]]:
        """Seconds that runs are expected to take: as seen."""
        return self.seen()

    def pool(self, workers: int, environ: Mapping[str, str]) -> Pool:
        """Processes that train what is pending."""
        places = self.places
        setup = {
            "models": self.models,
            "modules": self.modules,
            "versions": self.versions,
            "folders": [str(places.data), str(places.encodings), str(places.cache)],
            "out": str(places.out),
            "dataset": self.dataset,
            "data_version": self.store.data_version,
        }
        log = places.out / "workers.log"
        return Pool(setup, lambda job: self.versions[job.backbone], environ, log, workers)

    def train(self, workers: int, environ: Mapping[str, str], tell: Callable[[Event], None]) -> dict[Job, str]:
        """Train what is pending; returns the runs that failed, with their messages."""
        self.places.cache.mkdir(parents=True, exist_ok=True)
        pool = self.pool(workers, environ)
        pool.run(self.pending(), tell)
        return pool.failed
