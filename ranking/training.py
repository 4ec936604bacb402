"""Training of a release: HEIN, head and backbone together, and beside them the same backbone without knowledge.

The usual way: on all users but those kept out, for as long as the folds took (`ranking/settled.json`), so no user is
spent on validation and nothing is chosen by those kept out. The other way, `check_split`: on the training users of the
seed-1234 split, stopped by its validation users. Either way a tenth of the samples come once more with short histories
(`ranking.short_histories`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from encoders.hein import Hein
from ranking import fit as fitting
from ranking import training_users
from ranking.evaluate import metrics
from ranking.fit import FitOptions, fit, predict
from ranking.fold import HISTORY, RING
from ranking.model import Ranker
from ranking.release import About, Release, write_release
from ranking.settled import BACKBONE, BASELINE, VARIANT, Settled, load_settled
from ranking.shape import RankerShape
from ranking.training_material import Report, TrainingMaterial, prepare
from ranking.training_users import TRAIN
from ranking.tuned import tuned
from ranking.variants import EPOCHS, VARIANTS

_CLASSES = 2
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrainOptions:
    """What is trained, and from what."""

    data: Path
    encodings: Path
    out: Path
    without_users: frozenset[str] = frozenset()
    encoder_id: str = "auto"
    seed: int = 0
    check_split: bool = False
    epochs: int | None = None  # None: as settled; with `check_split` 12 at most
    plain_epochs: int | None = None  # of the backbone alone; None: as settled, or 12 at most
    most_users: int | None = None  # fewer users a part, for quick tests


@dataclass(frozen=True)
class _Fitted:
    epochs: int
    logits: Mapping[str, Logits]  # of each part that did not train


def train(options: TrainOptions, report: Report = lambda stage, done, total: None) -> Release:
    """Train and write the release.

    Ratings of users who are kept out (with `check_split`: of test users) reach no weight; they are read for the
    reported metrics alone. Raises `TerminalError` for missing or damaged data, a user to be kept out who is not there,
    or `settled.json` being unusable.
    """
    torch.manual_seed(options.seed)
    settled = load_settled()
    choose = training_users.split if options.check_split else training_users.released
    parts = partial(choose, without=options.without_users, most=options.most_users)
    made = prepare(options.data, options.encodings, options.encoder_id, parts, report, options.seed)
    ranker, shape = made.ranker, made.ranker.shape
    full = _fit("ranker", ranker, made.hein if shape.summaries else None, made, settled, options, report)
    torch.manual_seed(options.seed)
    plain_shape = RankerShape(vocabulary=shape.vocabulary, anchors=shape.anchors, knowledge=False)
    plain = _fit("without knowledge", Ranker(plain_shape), None, made, settled, options, report)
    about = _about(made, settled, options, full, plain)
    return write_release(options.out, about, made.hein, ranker, made.vocabulary)


def _fit(
    stage: str,
    network: Ranker,
    experts: Hein | None,
    made: TrainingMaterial,
    settled: Settled,
    options: TrainOptions,
    report: Report,
) -> _Fitted:
    knows = network.head is not None
    variant, said = (VARIANT, options.epochs) if knows else (BASELINE, options.plain_epochs)
    inputs = made.inputs if knows else replace(made.inputs, features=None)
    train = np.concatenate([made.numbers[TRAIN], made.short])
    say = partial(report, stage)
    if options.check_split:
        settings = _as_the_folds(variant, said or EPOCHS, options.seed)
        _, epochs = fit(network, experts, inputs, train, made.numbers["valid"], settings, say)
    else:
        epochs = said or settled.variants[variant].epochs
        fit(network, experts, inputs, train, None, _as_the_folds(variant, epochs, options.seed), say)
    others = {name: numbers for name, numbers in made.numbers.items() if name != TRAIN and len(numbers)}
    return _Fitted(epochs, {name: predict(network, experts, inputs, numbers) for name, numbers in others.items()})


def _as_the_folds(variant: str, epochs: int, seed: int) -> FitOptions:
    """The options of `ranking.variants.train_variant`: what the folds settled holds for a training like theirs."""
    return tuned(BACKBONE, VARIANTS[variant].knows, epochs, seed)


def _about(made: TrainingMaterial, settled: Settled, options: TrainOptions, full: _Fitted, plain: _Fitted) -> About:
    store = made.sources.store
    temperature = settled.variants[VARIANT].temperature
    measured = {
        **({} if options.check_split else _folds(settled)),
        **_measured(made, full, temperature, ""),
        **_measured(made, plain, settled.variants[BASELINE].temperature, "_without_knowledge"),
    }
    return About(
        scenario=made.scenario.name,
        factors=made.scenario.factors,
        encoder_id=made.encoder_id,
        dim=made.ranker.shape.dim,
        history_length=HISTORY,
        ring_size=RING,
        anchors=tuple(store.catalogue.anchors),
        anchor_means=made.anchor_means,
        accepted_knowledge=(f"{store.model}|{store.template_version}|{store.catalogue_version}",),
        model_name=made.ranker.shape.backbone,
        metrics=measured,
        hein=made.hein.shape,
        ranker=made.ranker.shape,
        temperature=temperature,
        training=_training(made, settled, options, full, plain),
    )


def _training(
    made: TrainingMaterial, settled: Settled, options: TrainOptions, full: _Fitted, plain: _Fitted
) -> dict[str, Any]:
    found = settled.variants[VARIANT]
    return {
        "data": "MovieLens-100K",
        "seed": options.seed,
        "stopped_by": "validation users" if options.check_split else "settled epochs",
        "epochs": full.epochs,
        "epochs_without_knowledge": plain.epochs,
        **{f"samples_{name}": len(numbers) for name, numbers in made.numbers.items()},
        "samples_short_histories": len(made.short),
        **{f"users_{name}": len(users) for name, users in made.users.items()},
        "without_users": sorted(options.without_users),
        "hidden": {
            "item id": fitting.HIDE_ID,
            "history": fitting.HIDE_HISTORY,
            "experienced": fitting.HIDE_EXPERIENCED,
            "expected": fitting.HIDE_EXPECTED,
            "summary": fitting.HIDE_SUMMARY,
            "item knowledge": fitting.HIDE_ITEM,
        },
        "settled": {
            "folds": settled.folds,
            "seeds": settled.seeds,
            "users": settled.users,
            "samples": settled.samples,
            "provisional": settled.provisional,
            "commit": settled.commit,
            "code": ", ".join(found.code_versions),
        },
        "calibration": [list(row) for row in found.calibration],
    }


def _folds(settled: Settled) -> dict[str, float]:
    """What to expect of such a release: each user scored by models that had not seen them."""
    page = {}
    for name, suffix in ((VARIANT, ""), (BASELINE, "_without_knowledge")):
        found = settled.variants[name]
        for metric, value in (("auc", found.auc), ("gauc", found.gauc), ("logloss", found.logloss)):
            page[f"{metric}_folds{suffix}"] = value.mean
            page[f"{metric}_folds{suffix}_spread"] = value.spread
    return page


def _measured(made: TrainingMaterial, fitted: _Fitted, temperature: float, suffix: str) -> dict[str, float]:
    """Metrics of this training, on each part that did not train; where a part has one class alone, none."""
    page = {}
    for name, logits in fitted.logits.items():
        numbers = made.numbers[name]
        label = made.inputs.label[torch.from_numpy(numbers)].numpy()
        if len(np.unique(label)) < _CLASSES:
            continue
        page[f"auc_{name}{suffix}"] = round(metrics.auc(label, logits), 5)
        page[f"gauc_{name}{suffix}"] = round(metrics.gauc(made.sample_users[numbers], label, logits), 5)
        page[f"logloss_{name}{suffix}"] = round(metrics.log_loss(label, logits / temperature), 5)
    return page
