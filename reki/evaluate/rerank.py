"""`reki evaluate rerank`."""

from dataclasses import dataclass
from pathlib import Path

from ranking.evaluate.ctr import write_files
from ranking.evaluate.lists import KINDS
from ranking.evaluate.rerank import RERANKERS, VARIANTS, RerankEvaluation, WantedLists
from ranking.evaluate.rerank_report import RerankReport
from reki.evaluate.options import every, known, listed, stand_ins
from reki.evaluate.places import commit, held, nothing_yet, places, say_written
from reki.evaluate.training import train_all


@dataclass(frozen=True)
class Uniform:
    """What runs on lists with uniformly drawn negatives."""

    variants: str
    seeds: int


@dataclass(frozen=True)
class Chosen:
    """What the command line said; lists are names with commas between."""

    dataset: str
    backbones: str
    variants: str
    folds: int
    seeds: int
    kinds: str
    uniform: Uniform
    workers: int
    out: Path
    reuse: str
    quick: bool


def run(chosen: Chosen, train: bool = True, write: bool = True) -> int:
    """Returns the exit code: 1 if a model failed, 130 after Ctrl-C."""
    rerankers = every("reranker", chosen.backbones, RERANKERS)
    variants = every("variant", chosen.variants, VARIANTS)
    named = known("kind of lists", chosen.kinds, KINDS)
    kinds = [kind for kind in KINDS if kind in named]
    uniform = known("variant", chosen.uniform.variants, VARIANTS)
    folds, seeds = (1, 1) if chosen.quick else (chosen.folds, chosen.seeds)
    wanted = WantedLists(rerankers, variants, folds, seeds, kinds, uniform, chosen.uniform.seeds)
    where = places(chosen.dataset, chosen.out, chosen.quick, make=train)
    evaluation = RerankEvaluation(chosen.dataset, where, wanted, reuse=listed(chosen.reuse))
    stand_ins(list(evaluation.runs.values()))
    with held(where.out, train, write):
        code = train_all(list(evaluation.runs.values()), chosen.workers, train)
        if code != 130 and write:
            nothing_yet(list(evaluation.runs.values()), where.out)
            tables, missing = evaluation.tables()
            report = RerankReport(chosen.dataset, wanted, commit(), tables, missing)
            print(report.markdown())
            say_written("rerank", write_files(where.out, report.files()), chosen.quick)
    return code
