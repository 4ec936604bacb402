"""`reki evaluate robust`: its runs, and what every model says of the test samples, view by view.

Three questions: what a masked part costs one release against a model that never had it (`masks`), what is left of
each variant when users are new (`cold_users`), and when items are (`cold_items`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranking.datasets.movielens import load
from ranking.evaluate import metrics
from ranking.evaluate.bootstrap import Drawn, UserPairs, drawn
from ranking.evaluate.cold_items import cold_rows
from ranking.evaluate.masks import PARTS
from ranking.evaluate.metrics import Floats, Numbers
from ranking.evaluate.plan import Group, Job
from ranking.evaluate.robust_models import COLD, WITHOUT, views_of
from ranking.evaluate.robust_views import FULL
from ranking.evaluate.runs import Places, Runs

MODELS = "ranking.evaluate.robust_models"
BACKBONES = ("din", "dcnv2")
USERS = ("plain", "strong", "no_user_llm", "ours")  # variants that new users are scored with
ITEMS = (*USERS, "title_text")  # variants that new items are scored with
METRICS = ("auc", "gauc")


@dataclass(frozen=True)
class WantedRobust:
    """What is to be compared."""

    backbones: Sequence[str] = BACKBONES
    folds: int = 5
    seeds: int = 1


@dataclass(frozen=True)
class Scored:
    """One model's answer to one view of a fold's test samples; the mean over seeds of logits over temperatures."""

    user: Numbers
    label: Floats
    item: Numbers
    logit: Floats

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Scored":
        """The samples for which `chosen`, bool[n]."""
        return Scored(self.user[chosen], self.label[chosen], self.item[chosen], self.logit[chosen])


def jobs(wanted: WantedRobust) -> list[Job]:
    """All runs. Those of a group follow one another: its material is built once."""
    every = [*USERS, *(f"{WITHOUT}{part}" for part in PARTS)]
    kinds = [("", every), (COLD, list(ITEMS))]
    return [
        Job(Group(f"{kind}{fold}"), seed, backbone, variant)
        for fold in range(wanted.folds)
        for kind, variants in kinds
        for backbone in wanted.backbones
        for variant in variants
        for seed in range(wanted.seeds)
    ]


def drawn_of(folds: Sequence[Scored]) -> dict[str, Drawn]:
    """AUC and GAUC over folds, with the draws that all comparisons share."""
    pairs = [UserPairs.of(one.user, one.label, one.logit) for one in folds]
    return {metric: drawn(pairs, metric) for metric in METRICS}


@dataclass(frozen=True)
class Robustness:
    """The runs and their answers. `models` as in `Runs`."""

    dataset: str
    places: Places
    wanted: WantedRobust
    models: str = MODELS

    @cached_property
    def runs(self) -> Runs:
        """All of them."""
        return Runs(self.dataset, self.places, jobs(self.wanted), self.models, "ranking.backbones")

    def missing(self) -> list[str]:
        """Names of runs that lack a result."""
        return [job.name for job in self.runs.pending()]

    def views(self, backbone: str, variant: str) -> dict[str, list[Scored]] | None:
        """What a variant of group "N" says of each view, fold by fold; None while a run is missing."""
        return self._answers("", backbone, variant, views_of(variant))

    def new_items(self, backbone: str, variant: str) -> dict[str, list[Scored]] | None:
        """Test samples of new items (`cold`) and of the others (`others`), by models that never saw the former.

        For variants that group "N" has too, `seen` are the samples of `cold` by a model that was trained with them.
        """
        found = self._answers(COLD, backbone, variant, [FULL])
        if found is None:
            return None
        made = {"cold": self._split(found[FULL], True), "others": self._split(found[FULL], False)}
        warm = self.views(backbone, variant) if variant in USERS else None
        return made if warm is None else {**made, "seen": self._split(warm[FULL], True)}

    def _split(self, folds: Sequence[Scored], cold: bool) -> list[Scored]:
        return [one.where(self._cold[one.item] == cold) for one in folds]

    @cached_property
    def _cold(self) -> npt.NDArray[np.bool_]:
        return cold_rows(load(self.places.data))

    def _answers(self, kind: str, backbone: str, variant: str, views: Sequence[str]) -> dict[str, list[Scored]] | None:
        samples = None
        found: dict[str, list[Scored]] = {view: [] for view in views}
        for fold in range(self.wanted.folds):
            own = [Job(Group(f"{kind}{fold}"), seed, backbone, variant) for seed in range(self.wanted.seeds)]
            if any(self.runs.found(job) is None for job in own):
                return None
            samples = samples or self.runs.store.samples()
            logits = []
            for job in own:
                result = self.runs.read(job)
                scale = metrics.temperature(samples.label[result.valid_numbers], result.valid)
                logits.append(result.test.reshape(len(views), -1).astype(np.float64) / scale)
            numbers = result.test_numbers[: logits[0].shape[1]]
            user, label, item = samples.user[numbers], samples.label[numbers], samples.item[numbers]
            for view, logit in zip(views, np.mean(logits, axis=0), strict=True):
                found[view].append(Scored(user, label, item, logit))
        return found
