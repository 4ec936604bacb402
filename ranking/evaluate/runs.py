"""The runs of a comparison: which are there already, which are still to be trained, and training those."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import knowledge
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
        """The result of a run that has one."""
        return self.store.read(str(self.found(job)), job.name)

    def pending(self) -> list[Job]:
        """Runs without a result."""
        return [job for job in self.jobs if self.found(job) is None]

    def seen(self) -> dict[tuple[str, str], list[float]]:
        """Seconds of the finished runs, by (backbone, variant)."""
        seen: dict[tuple[str, str], list[float]] = {}
        for job in self.jobs:
            if self.found(job) is not None:
                seen.setdefault((job.backbone, job.variant), []).append(float(self.read(job).about["wall_s"]))
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
