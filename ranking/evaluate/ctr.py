"""`reki evaluate ctr`: what is there already, what is still to be trained, and the report over all of it."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import knowledge
from ranking.evaluate.plan import HEAD_ONLY, Job, Wanted, jobs, seconds_left
from ranking.evaluate.plots import plots
from ranking.evaluate.pool import Event, Pool
from ranking.evaluate.report import Report
from ranking.evaluate.store import ResultStore
from ranking.evaluate.summary import Scores, scores
from ranking.evaluate.version import code_version, data_version

MODELS = "ranking.evaluate.models"


@dataclass(frozen=True)
class Places:
    """Where things are: the data set, encodings of texts, what may be kept between runs, the results."""

    data: Path
    encodings: Path
    cache: Path
    out: Path


@dataclass(frozen=True)
class Evaluation:
    """One comparison. `models` names the module with `build_fold` and `train_variant`.

    Results of other code versions count only where they are named in `reuse`.
    """

    dataset: str
    places: Places
    wanted: Wanted
    models: str = MODELS
    reuse: Sequence[str] = ()

    @cached_property
    def store(self) -> ResultStore:
        """Results of this data set and this recorded knowledge."""
        recorded = Path(knowledge.__file__).parent / "data"
        return ResultStore(self.places.out, self.dataset, data_version([self.places.data, recorded]))

    @cached_property
    def jobs(self) -> list[Job]:
        """All runs of the comparison."""
        return jobs(self.wanted)

    @cached_property
    def modules(self) -> dict[str, list[str]]:
        """The modules that decide a backbone's results."""
        names = dict.fromkeys(job.backbone for job in self.jobs)
        return {name: [self.models, f"ranking.backbones.{name}"] for name in names}

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

    def pending(self) -> list[Job]:
        """Runs without a result."""
        return [job for job in self.jobs if self.found(job) is None]

    def seconds_left(self, pending: Sequence[Job], workers: int) -> float:
        """Wall time for these runs, from what the finished ones took."""
        seen: dict[tuple[str, str], list[float]] = {}
        for job in self.jobs:
            code = self.found(job)
            if code is not None:
                wall = float(self.store.read(code, job.name).about["wall_s"])
                seen.setdefault((job.backbone, job.variant), []).append(wall)
        return seconds_left(pending, seen, workers)

    def pool(self, workers: int, environ: Mapping[str, str]) -> Pool:
        """Processes that train what is pending."""
        places = self.places
        setup = {
            "module": self.models,
            "modules": self.modules,
            "versions": self.versions,
            "folders": [str(places.data), str(places.encodings), str(places.cache)],
            "out": str(places.out),
            "dataset": self.dataset,
            "data_version": self.store.data_version,
        }
        log = places.out / "workers.log"
        return Pool(setup, lambda job: self.versions[job.backbone], environ, log, workers)

    def run(self, workers: int, environ: Mapping[str, str], tell: Callable[[Event], None]) -> dict[Job, str]:
        """Train what is pending; returns the runs that failed, with their messages."""
        self.places.cache.mkdir(parents=True, exist_ok=True)
        pool = self.pool(workers, environ)
        pool.run(self.pending(), tell)
        return pool.failed

    def report(self, commit: str) -> Report:
        """Over everything that is complete: all seeds of all folds of a backbone and variant."""
        table = self.store.samples()
        missing: list[str] = []
        used: set[str] = set()
        tables: dict[str, dict[str, dict[str, Scores]]] = {}
        together: dict[tuple[str, str, str], list[Job]] = {}
        for job in self.jobs:
            name = "folds" if job.fold_number else job.group.split
            name = "head_only" if job.backbone in HEAD_ONLY else name
            name += "_blind" if job.group.page_blind else ""
            together.setdefault((name, job.backbone, job.variant), []).append(job)
        for (name, backbone, variant), own in together.items():
            codes = {job: self.found(job) for job in own}
            lacking = [job.name for job, code in codes.items() if code is None]
            missing += lacking
            if not lacking:
                used |= {code for code in codes.values() if code is not None}
                rows = tables.setdefault(name, {}).setdefault(backbone, {})
                rows[variant] = scores(table, own, lambda job: self.store.read(str(self.found(job)), job.name))
        return Report(
            self.dataset,
            self.wanted.folds,
            self.wanted.seeds,
            commit,
            tables.pop("folds", {}),
            tables.pop("folds_blind", {}),
            tables,
            tuple(missing),
            tuple(sorted(used)),
        )

    def write(self, report: Report) -> list[Path]:
        """Put the report's files into the results' folder; returns them."""
        out = self.places.out
        files = {
            "ctr.json": json.dumps(report.ctr_json(), indent=1) + "\n",
            "ctr_details.json": json.dumps(report.details_json(), indent=1) + "\n",
            "ctr.md": report.markdown(),
            **plots(report),
        }
        return write_files(out, files)


def write_files(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write texts whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        draft = folder / f".{name}.{os.getpid()}"
        draft.write_text(text)
        draft.replace(folder / name)
    return [folder / name for name in files]
