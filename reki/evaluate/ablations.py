"""`reki evaluate ablations`."""

from dataclasses import dataclass
from pathlib import Path

from ranking.datasets.movielens import load
from ranking.evaluate.ablation_report import AblationReport, code_versions
from ranking.evaluate.ablation_rows import chosen_rows
from ranking.evaluate.ablations import Ablations
from ranking.evaluate.ctr import write_files
from ranking.evaluate.plan import BACKBONES, guessed, seconds_left
from reki.evaluate.options import every, listed, stand_ins
from reki.evaluate.places import commit, held, nothing_yet, places, say_written
from reki.evaluate.show import about, processes
from reki.evaluate.training import train_all


@dataclass(frozen=True)
class Chosen:
    """What the command line said; lists are names with commas between."""

    dataset: str
    only: str
    backbones: str
    folds: int
    seeds: int
    workers: int
    out: Path
    reuse: str
    quick: bool


def run(chosen: Chosen, train: bool = True, write: bool = True) -> int:
    """Returns the exit code: 1 if a model failed, 130 after Ctrl-C."""
    backbones = every("backbone", chosen.backbones, BACKBONES)
    folds, seeds = (1, 1) if chosen.quick else (chosen.folds, chosen.seeds)
    rows = chosen_rows(listed(chosen.only))
    where = places(chosen.dataset, chosen.out, chosen.quick, make=train)
    ablations = Ablations(chosen.dataset, where, rows, backbones, folds, seeds, listed(chosen.reuse))
    stand_ins(ablations.runs)
    with held(where.out, train, write):
        cpus = processes(chosen.workers)
        left = sum(seconds_left(runs.pending(), runs.expected(), cpus) for runs in ablations.runs)
        pending = [job for runs in ablations.runs for job in runs.pending()]
        guess = guessed(pending, [kind for runs in ablations.runs for kind in runs.seen()])
        print(f"{len(rows)} rows on {', '.join(backbones)}: {about(left, guess, ' in all')}", flush=True)
        code = train_all(ablations.runs, chosen.workers, train)
        if code != 130 and write:
            nothing_yet(ablations.runs, where.out)
            table, missing = ablations.scores()
            users = ablations.users(tuple(load(where.data).by_user()))
            used = code_versions(ablations.runs)
            report = AblationReport(chosen.dataset, folds, seeds, commit(), table, users, missing, used)
            print(report.markdown())
            say_written("ablations", write_files(where.out, report.files()), chosen.quick)
    return code
