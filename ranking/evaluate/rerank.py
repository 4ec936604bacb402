"""`reki evaluate rerank`: its runs, and the numbers of its report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np

from ranking.evaluate.bootstrap import Drawn, drawn_means
from ranking.evaluate.lists import KINDS, LENGTH, Kind, list_metrics
from ranking.evaluate.metrics import Floats, Numbers
from ranking.evaluate.plan import Group, Job
from ranking.evaluate.runs import Places, Runs
from ranking.evaluate.store import Result, SampleTable

RERANKERS = ("dlcm", "prm", "setrank", "mir")
VARIANTS = ("plain", "strong", "no_user_llm", "ours")
UNIFORM_VARIANTS = ("plain", "ours")
ORDERS = ("initial", "popularity")
NO_RERANKER = "none"  # stands in the reranker's place for an order as it is
MODELS = "ranking.evaluate.rerank_models"


@dataclass(frozen=True)
class ListScores:
    """Of one reranker and variant: (MAP@7, NDCG@7) of each run, and both over the seeds' mean."""

    runs: tuple[tuple[float, float], ...]
    map7: Drawn
    ndcg7: Drawn
    epochs: tuple[int, ...] = ()  # best epoch of each run; 0 = nothing was trained
    cpu_s: tuple[float, ...] = ()

    def mean(self, metric: str) -> float:
        """Mean of `map7` or `ndcg7` over all runs."""
        return float(np.mean([run[metric == "ndcg7"] for run in self.runs]))


ListTable = dict[str, dict[str, ListScores]]  # reranker -> variant


@dataclass(frozen=True)
class WantedLists:
    """What is to be compared. The targets are about popular negatives; uniform ones are a check with fewer runs."""

    rerankers: Sequence[str] = RERANKERS
    variants: Sequence[str] = VARIANTS
    folds: int = 5
    seeds: int = 2
    kinds: Sequence[Kind] = KINDS
    uniform_variants: Sequence[str] = UNIFORM_VARIANTS
    uniform_seeds: int = 1

    def of(self, kind: Kind) -> tuple[Sequence[str], int]:
        """Variants and seeds of this kind of lists."""
        if kind == "popularity":
            return self.variants, self.seeds
        variants = [variant for variant in self.variants if variant in self.uniform_variants]
        return variants, min(self.seeds, self.uniform_seeds)


def jobs(wanted: WantedLists, kind: Kind) -> list[Job]:
    """All runs of one kind of lists."""
    variants, seeds = wanted.of(kind)
    made = []
    for group in (Group(str(fold)) for fold in range(wanted.folds)):
        made += [Job(group, 0, NO_RERANKER, order) for order in ORDERS]
        made += [
            Job(group, seed, reranker, variant)
            for reranker in wanted.rerankers
            for variant in variants
            for seed in range(seeds)
        ]
    return made


@dataclass(frozen=True)
class RerankEvaluation:
    """One comparison. `models` and `reuse` as in `Runs`; the models of a kind are an object named after it."""

    dataset: str
    places: Places
    wanted: WantedLists
    models: str = MODELS
    reuse: Sequence[str] = ()

    @cached_property
    def runs(self) -> dict[Kind, Runs]:
        """All of the comparison, by kind of lists."""
        return {
            kind: Runs(
                f"{self.dataset}-lists-{kind}",
                self.places,
                jobs(self.wanted, kind),
                f"{self.models}:{kind.upper()}",
                "ranking.rerankers",
                self.reuse,
            )
            for kind in self.wanted.kinds
        }

    def tables(self) -> tuple[dict[Kind, ListTable], list[str]]:
        """What is complete, by kind, and the names of the runs that lack a result."""
        tables: dict[Kind, ListTable] = {}
        missing: list[str] = []
        for kind, runs in self.runs.items():
            if len(runs.pending()) == len(runs.jobs):
                missing += [f"{kind}: {job.name}" for job in runs.jobs]
                continue
            samples = runs.store.samples()
            together: dict[tuple[str, str], list[Job]] = {}
            for job in runs.jobs:
                together.setdefault((job.backbone, job.variant), []).append(job)
            table: ListTable = {}
            for (reranker, variant), own in together.items():
                lacking = [f"{kind}: {job.name}" for job in own if runs.found(job) is None]
                missing += lacking
                if not lacking:
                    table.setdefault(reranker, {})[variant] = list_scores(samples, own, runs.read)
            # Every reranker stands beside the orders that it starts from.
            orders = table.pop(NO_RERANKER, {})
            tables[kind] = {reranker: {**orders, **found} for reranker, found in table.items()}
        return tables, missing


def list_scores(samples: SampleTable, own: Sequence[Job], read: Callable[[Job], Result]) -> ListScores:
    """Of the jobs of one reranker and variant: every seed of every fold must be there."""
    runs: list[tuple[float, float]] = []
    epochs: list[int] = []
    cpu_s: list[float] = []
    folds: list[tuple[Numbers, Floats, Floats]] = []
    for _, of_fold in groupby(sorted(own), key=lambda job: job.group):
        scores = []
        for job in of_fold:
            result = read(job)
            score = result.test.reshape(-1, LENGTH).astype(np.float64)
            label = samples.label[result.test_numbers].reshape(-1, LENGTH)
            precision, gain = list_metrics(label, score)
            runs.append((float(np.nanmean(precision)), float(np.nanmean(gain))))
            epochs.append(int(result.about["epochs"]))
            cpu_s.append(float(result.about["cpu_s"]))
            # Scores of a reranker mean something within a list alone.
            spread = np.maximum(score.std(1, keepdims=True), 1e-9)
            scores.append((score - score.mean(1, keepdims=True)) / spread)
        user = samples.user[result.test_numbers].reshape(-1, LENGTH)[:, 0]
        mean = scores[0] if len(scores) == 1 else np.mean(scores, axis=0)
        folds.append((user, *list_metrics(label, mean)))
    precision_of = drawn_means([(user, precision) for user, precision, _ in folds])
    gain_of = drawn_means([(user, gain) for user, _, gain in folds])
    return ListScores(tuple(runs), precision_of, gain_of, tuple(epochs), tuple(cpu_s))
