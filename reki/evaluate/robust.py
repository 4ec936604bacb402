"""`reki evaluate robust`."""

from dataclasses import dataclass
from pathlib import Path

from ranking.evaluate.ctr import write_files
from ranking.evaluate.plan import BACKBONES
from ranking.evaluate.robust import Robustness, WantedRobust
from ranking.evaluate.robust_report import files
from reki.evaluate.options import every
from reki.evaluate.places import commit, held, nothing_yet, places, say_written
from reki.evaluate.training import train_all


@dataclass(frozen=True)
class Chosen:
    """What the command line said; lists are names with commas between."""

    dataset: str
    backbones: str
    folds: int
    seeds: int
    workers: int
    out: Path
    quick: bool


def run(chosen: Chosen, train: bool = True, write: bool = True) -> int:
    """Returns the exit code: 1 if a model failed, 130 after Ctrl-C."""
    folds, seeds = (1, 1) if chosen.quick else (chosen.folds, chosen.seeds)
    wanted = WantedRobust(every("backbone", chosen.backbones, BACKBONES), folds, seeds)
    where = places(chosen.dataset, chosen.out, chosen.quick, make=train)
    robust = Robustness(chosen.dataset, where, wanted)
    with held(where.out, train, write):
        code = train_all([robust.runs], chosen.workers, train)
        if code != 130 and write:
            nothing_yet([robust.runs], where.out)
            made = files(robust, commit())
            print(made["robust.md"])
            say_written("robust", write_files(where.out, made), chosen.quick)
    return code
