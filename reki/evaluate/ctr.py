"""`reki evaluate ctr`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge.base import TerminalError
from ranking.evaluate.ctr import Evaluation
from ranking.evaluate.plan import BACKBONES, HEADLINE, Wanted
from ranking.evaluate.store import only_one
from reki.evaluate import show
from reki.evaluate.places import commit, environment, places

OTHERS = ("collab", "ours_no_collab", "kar", "ours_control", "head_only")
_SPLITS = ("design", "time")


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
    evaluation = Evaluation(
        chosen.dataset, places(chosen.dataset, chosen.out, chosen.quick), wanted, reuse=_names(chosen.reuse)
    )
    failed = {}
    with only_one(chosen.out):
        pending = evaluation.pending()
        workers = show.processes(chosen.workers)
        seconds = evaluation.seconds_left(pending, workers)
        print("\n".join(show.plan_lines(evaluation.jobs, pending, workers, seconds)), flush=True)
        if train and pending:
            try:
                with show.progress(len(pending), workers) as tell:
                    failed = evaluation.run(workers, environment(), tell)
            except KeyboardInterrupt:
                print("\ninterrupted; run it again, it goes on from here", file=sys.stderr)
                return 130
        if write:
            report = evaluation.report(commit())
            print(report.markdown())
            for path in evaluation.write(report):
                print(path)
    for job, message in failed.items():
        print(f"reki: {job.name} failed: {message}", file=sys.stderr)
    return 1 if failed else 0


def _wanted(chosen: Chosen) -> Wanted:
    if chosen.quick:
        names = _known("backbone", chosen.backbones, BACKBONES, "din")
        variants = _known("variant", chosen.variants, (*HEADLINE, *OTHERS), ",".join(HEADLINE))
        return Wanted(names, variants, folds=1, seeds=1, deeper=(), page_blind=False)
    every = {"headline": ",".join(HEADLINE), "all": ",".join((*HEADLINE, *OTHERS))}
    return Wanted(
        _known("backbone", chosen.backbones, BACKBONES, ",".join(BACKBONES)),
        _known("variant", every.get(chosen.variants, chosen.variants), (*HEADLINE, *OTHERS), ""),
        chosen.folds,
        chosen.seeds,
        _known("split", chosen.splits, _SPLITS, ""),
        () if chosen.deeper == "none" else _known("backbone", chosen.deeper, BACKBONES, ""),
        chosen.page_blind,
    )


def _known(what: str, said: str, known: Sequence[str], default: str) -> tuple[str, ...]:
    names = _names(default if said in ("all", "headline") else said)
    strange = [name for name in names if name not in known]
    if strange:
        raise TerminalError("bad_option", f"no {what} {strange[0]!r}: there are {', '.join(known)}")
    return names


def _names(said: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in said.split(",") if name.strip()))
