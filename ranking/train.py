"""Train a release on MovieLens-100K and its recorded knowledge: `python -m ranking.train --help`.

One JSON object a line on stdout: {"stage", "done", "total"} while it works; at the end {"stage": "release",
"release_id", "path", "metrics", "wall_s", "cpu_s"}; on failure {"stage": "error", "reason", "message"}, exit code 2.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from encoders.hein import Hein, HeinShape, centre
from knowledge.base import RekiError, TerminalError
from knowledge.scenario import load_scenario
from ranking.collaborative import RANK
from ranking.columns import Columns, fill, set_anchors, without_own_ratings
from ranking.fit import FitOptions, Inputs, evaluate, fit, standardise
from ranking.inputs import Samples, build_samples
from ranking.model import Ranker
from ranking.release import About, Release, write_release
from ranking.shape import RankerShape
from ranking.sources import Sources, Texts, encode_texts
from ranking.split import UserSplit, split_users
from ranking.variants import VARIANTS

HISTORY, RING = 50, 100  # H and N
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TrainOptions:
    """What is trained, and from what."""

    data: Path
    encodings: Path
    out: Path
    without_users: frozenset[str] = frozenset()
    encoder_id: str = "auto"
    seed: int = 0
    epochs: int = 8
    plain_epochs: int = 12  # the backbone alone learns slower
    most_users: int | None = None  # fewer training and validation users, for quick tests


@dataclass(frozen=True)
class _Material:
    sources: Sources
    samples: Samples
    split: UserSplit
    texts: Texts


def train(options: TrainOptions, report: Report = lambda stage, done, total: None) -> Release:
    """Train HEIN, head and backbone, and beside them the same backbone without knowledge; write the release.

    Test users' ratings are read for the reported test AUC alone. Raises `TerminalError` for missing or damaged data.
    """
    torch.manual_seed(options.seed)
    made = _prepare(options, report)
    scenario = load_scenario("films")
    store = made.sources.store
    vocabulary = made.sources.vocabulary(made.split.train)
    hein, item_vec, users_projected = _space(made)
    rows = [0, *(vocabulary.get(item, 1) for item in made.samples.items)]
    index = torch.tensor(rows, dtype=torch.int32)
    parts = {name: made.samples.of(getattr(made.split, name)) for name in ("train", "valid", "test")}

    ours = VARIANTS["ours_summaries"]
    shape = RankerShape(
        vocabulary=len(vocabulary) + 2,
        anchors=len(store.catalogue.anchors),
        groups=tuple(ours.groups),
        backbone_history=ours.history,
        summaries=ours.summaries,
        collaborative=RANK,
    )
    ranker = Ranker(shape)
    if ranker.head is None:
        raise ValueError("a release without a head has no knowledge")
    means = set_anchors(ranker.head, made.sources, made.split.train, vocabulary, item_vec)
    columns: Columns = {}
    others = (*made.split.valid, *made.split.test)
    for number, users in enumerate(
        without_own_ratings(ranker.head, made.sources, made.split.train, others, vocabulary, item_vec)
    ):
        report("features", number, 6)
        fill(columns, ranker.head, made.samples, item_vec, index, made.samples.of(users), HISTORY, shape.groups)
    features = torch.cat([columns[name].float() for name in shape.groups], dim=1)
    standardise(ranker.head, features[torch.from_numpy(parts["train"])])
    report("features", 6, 6)
    ids = made.samples.ids(np.arange(len(made.samples)), index, HISTORY)
    label, user, item = map(torch.from_numpy, (made.samples.label, made.samples.user, made.samples.item))

    def run(stage: str, network: Ranker, experts: Hein | None, epochs: int) -> dict[str, float]:
        known = features if network.head is not None else None
        inputs = Inputs(ids, label, user, item, item_vec, users_projected, known)
        settings = FitOptions(epochs=epochs, seed=options.seed)
        auc, epoch = fit(
            network, experts, inputs, parts["train"], parts["valid"], settings, lambda d, t: report(stage, d, t)
        )
        return {"valid": auc, "epochs": epoch, "test": evaluate(network, experts, inputs, parts["test"])}

    full = run("ranker", ranker, hein if shape.summaries else None, options.epochs)
    torch.manual_seed(options.seed)
    plain_shape = RankerShape(vocabulary=shape.vocabulary, anchors=shape.anchors, knowledge=False)
    plain = run("without knowledge", Ranker(plain_shape), None, options.plain_epochs)

    about = About(
        scenario=scenario.name,
        factors=scenario.factors,
        encoder_id=made.texts.encoder_id,
        dim=shape.dim,
        history_length=HISTORY,
        ring_size=RING,
        anchors=tuple(store.catalogue.anchors),
        anchor_means=means,
        accepted_knowledge=(f"{store.model}|{store.template_version}|{store.catalogue_version}",),
        model_name=shape.backbone,
        metrics={
            "auc_valid": round(full["valid"], 5),
            "auc_valid_without_knowledge": round(plain["valid"], 5),
            "auc_test": round(full["test"], 5),
            "auc_test_without_knowledge": round(plain["test"], 5),
        },
        hein=hein.shape,
        ranker=shape,
        training={
            "data": "MovieLens-100K",
            "seed": options.seed,
            "epochs": full["epochs"],
            "epochs_without_knowledge": plain["epochs"],
            **{f"samples_{name}": len(numbers) for name, numbers in parts.items()},
            "users_train": len(made.split.train),
            "without_users": sorted(options.without_users),
        },
    )
    return write_release(options.out, about, hein, ranker, vocabulary)


def _prepare(options: TrainOptions, report: Report) -> _Material:
    report("data", 0, 1)
    sources = Sources.load(options.data)
    split = split_users(list(sources.data.by_user()))
    kept = tuple(user for user in split.train if user not in options.without_users)[: options.most_users]
    split = UserSplit(kept, split.valid[: options.most_users], split.test[: options.most_users])
    wanted = {*split.train, *split.valid, *split.test}
    known = {user: record for user, record in sources.store.users().items() if user in wanted}
    samples = build_samples(sources.data, known, sources.store.catalogue.anchors, load_scenario("films"), RING)
    if not len(samples.of(split.train)):
        raise TerminalError("no_data", "no training user is left: name fewer in --without-users")
    report("data", 1, 1)
    texts = encode_texts(
        sources,
        samples.users,
        options.encodings,
        options.encoder_id,
        lambda done, total: report("encodings", done, total),
    )
    return _Material(sources, samples, split, texts)


def _space(made: _Material) -> tuple[Hein, torch.Tensor, torch.Tensor]:
    items, item_mask = made.texts.items
    users, user_mask = made.texts.users
    hein = Hein(HeinShape(factors=items.shape[1], text_dim=items.shape[2]))
    training = torch.from_numpy(np.isin(np.array(made.samples.users), np.array(made.split.train)))
    hein.fit_space(items, item_mask, users[training], user_mask[training])
    # The projections stay at PCA (docs/decisions.md), so vectors and head features are computed once.
    hein.projection.requires_grad_(False)
    with torch.no_grad():
        item_vec = hein.project(centre(items, hein.item_mean, item_mask))
        item_vec = torch.cat([torch.zeros_like(item_vec[:1]), item_vec])
        return hein, item_vec, hein.project(centre(users, hein.user_mean, user_mask))


def main(arguments: Sequence[str]) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="ranking.train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of MovieLens-100K")
    parser.add_argument("--encodings", type=Path, required=True, help="folder of cached text encodings")
    parser.add_argument("--out", type=Path, required=True, help="folder of releases; a new one is made in it")
    parser.add_argument("--without-users", type=Path, help="file of user ids, one a line, to keep out of training")
    parser.add_argument("--encoder", default="auto", help="sentence encoder (encoders.settings)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=8, help="most epochs; early stopping usually ends before")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; the steps are too small for more")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    begin = time.monotonic()
    shown: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        # A line a tenth of a second at most: a bar needs no more, and a pipe must not slow training down.
        if done in (0, total) or time.monotonic() - shown.get(stage, 0.0) > 0.1:
            shown[stage] = time.monotonic()
            _say(stage=stage, done=done, total=total)

    try:
        without = frozenset(chosen.without_users.read_text().split()) if chosen.without_users else frozenset()
        release = train(
            TrainOptions(
                chosen.data, chosen.encodings, chosen.out, without, chosen.encoder, chosen.seed, chosen.epochs
            ),
            report,
        )
    except (RekiError, OSError) as error:
        _say(stage="error", reason=getattr(error, "reason", "no_file"), message=str(error))
        return 2
    _say(
        stage="release",
        release_id=release.release_id,
        path=str(release.path),
        metrics=dict(release.metrics),
        training=dict(release.about.training),
        wall_s=round(time.monotonic() - begin, 1),
        cpu_s=round(time.process_time(), 1),
    )
    return 0


def _say(**line: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
