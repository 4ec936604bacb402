"""`reki evaluate freshness`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from knowledge.base import TerminalError
from ranking.evaluate import freshness_report
from ranking.evaluate.ctr import write_files
from ranking.evaluate.freshness import Table, freshness_table
from ranking.evaluate.metrics import Floats
from ranking.evaluate.plan import BACKBONES, Group, Job
from ranking.evaluate.runs import Runs
from ranking.sources import Sources
from reki.evaluate.options import every
from reki.evaluate.places import commit, held, places, say_written
from reki.evaluate.training import train_all

DATASET = "ml-100k"  # the refreshes are of this one
MODELS, VARIANT = "ranking.evaluate.freshness_models", "ours"


@dataclass(frozen=True)
class Chosen:
    """What the command line said; `backbones` are names with commas between."""

    backbones: str
    seeds: int
    workers: int
    out: Path


def run(chosen: Chosen, train: bool = True, write: bool = True) -> int:
    """Returns the exit code: 1 if a model failed, 130 after Ctrl-C."""
    backbones = every("backbone", chosen.backbones, BACKBONES)
    jobs = [Job(Group("design"), seed, name, VARIANT) for name in backbones for seed in range(chosen.seeds)]
    where = places(DATASET, chosen.out, quick=False, make=train)
    # A name of its own: the numbers of its samples are those of the table's rows.
    runs = Runs(f"{DATASET}-freshness", where, jobs, MODELS, "ranking.backbones")
    with held(where.out, train, write):
        code = train_all([runs], chosen.workers, train)
        if code != 130 and write:
            files = freshness_report.files(report(runs, where.data))
            print(files["freshness.md"])
            say_written("freshness", write_files(where.out, files), quick=False)
    return code


def report(runs: Runs, data: Path) -> freshness_report.Page:
    """Numbers of every backbone whose seeds are all there; raises `TerminalError` (`no_results`) if none is."""
    sources = Sources.load(data)
    table = freshness_table(sources)
    missing = [job.name for job in runs.pending()]
    logits: dict[str, list[Floats]] = {}
    for job in runs.jobs:
        if not any(other.name in missing for other in runs.jobs if other.backbone == job.backbone):
            logits.setdefault(job.backbone, []).append(runs.read(job).test)
    if not logits:
        raise TerminalError("no_results", "no backbone has all of its seeds yet: run it again, it goes on from here")
    about = {
        "dataset": DATASET,
        "split": "design",
        "seeds": len({job.seed for job in runs.jobs}),
        "commit": commit(),
        "missing": missing,
    }
    return freshness_report.numbers(table, logits, minutes(sources, table), about)


def minutes(sources: Sources, table: Table) -> Floats:
    """Of each measured user, from the last event of the snapshot to their last event."""
    by_user, first = sources.data.by_user(), sources.store.history_length
    spans = [by_user[user][-1].at - by_user[user][first[user] - 1].at for user in table.users]
    return np.array([span.total_seconds() / 60 for span in spans])
