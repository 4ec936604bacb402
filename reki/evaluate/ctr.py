"""`reki evaluate ctr`."""

from dataclasses import dataclass
from pathlib import Path

from knowledge.base import TerminalError
from ranking.evaluate.ctr import Evaluation
from ranking.evaluate.plan import BACKBONES, HEADLINE, SPLITS, Wanted
from reki.evaluate.options import every, known, listed, stand_ins
from reki.evaluate.places import commit, held, nothing_yet, places, say_written
from reki.evaluate.training import train_all

# Everything beside the headline that `train_variant` knows.
OTHERS = (
    *("strong_long", "strong_level", "collab", "no_llm", "kar"),
    *("ours_no_collab", "ours_summaries", "ours_control", "head_only"),
)


@dataclass(frozen=True)
class Chosen:
    """What the command line said; lists are names with commas between."""

    dataset: str
    backbones: str
    variants: str
    folds: int
    seeds: int
    splits: str
    deeper: str
    page_blind: bool
    workers: int
    out: Path
    reuse: str
    quick: bool


def run(chosen: Chosen, train: bool = True, write: bool = True) -> int:
    """Returns the exit code: 1 if a model failed, 130 after Ctrl-C."""
    wanted = _wanted(chosen)
    where = places(chosen.dataset, chosen.out, chosen.quick, make=train)
    evaluation = Evaluation(chosen.dataset, where, wanted, reuse=listed(chosen.reuse))
    idle = [name for name in wanted.variants if all(job.variant != name for job in evaluation.runs.jobs)]
    if idle:
        where_else = "beside the headline, and without folds, only the backbones of --deeper run"
        raise TerminalError("bad_option", f"nothing would be trained for {', '.join(idle)}: {where_else}")
    stand_ins([evaluation.runs])
    with held(where.out, train, write):
        code = train_all([evaluation.runs], chosen.workers, train)
        if code != 130 and write:
            nothing_yet([evaluation.runs], where.out)
            report = evaluation.report(commit())
            print(report.markdown())
            say_written("ctr", evaluation.write(report), chosen.quick)
    return code


def _wanted(chosen: Chosen) -> Wanted:
    groups = {"headline": HEADLINE, "all": (*HEADLINE, *OTHERS)}
    said = [name for part in listed(chosen.variants) for name in groups.get(part, (part,))]
    variants = known("variant", ",".join(said), (*HEADLINE, *OTHERS))
    if chosen.quick:
        backbones = every("backbone", chosen.backbones, BACKBONES)
        return Wanted(backbones, variants, folds=1, seeds=1, deeper=backbones, page_blind=False)
    return Wanted(
        every("backbone", chosen.backbones, BACKBONES),
        variants,
        chosen.folds,
        chosen.seeds,
        () if chosen.splits == "none" else known("split", chosen.splits, SPLITS),
        () if chosen.deeper == "none" else known("backbone", chosen.deeper, BACKBONES),
        chosen.page_blind,
    )
