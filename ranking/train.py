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

from encoders.condense import encode_factors
from encoders.hein import Hein, HeinShape, centre
from encoders.sentence import SentenceEncoder
from encoders.text_cache import EncodingCache
from knowledge.base import RekiError, TerminalError
from knowledge.recorded import RecordedStore
from knowledge.scenario import load_scenario
from ranking.collaborative import anchor_likeness
from ranking.datasets.movielens import MovieLens, load
from ranking.fit import FitOptions, Inputs, evaluate, fit, head_features
from ranking.inputs import Samples, Space, build_samples
from ranking.model import Ranker
from ranking.release import About, Release, write_release
from ranking.shape import RankerShape
from ranking.split import UserSplit, split_users

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
    data: MovieLens
    store: RecordedStore
    samples: Samples
    split: UserSplit
    encoder_id: str
    items: tuple[torch.Tensor, torch.Tensor]  # texts f32[R - 1, F, 384], mask
    users: tuple[torch.Tensor, torch.Tensor]


def train(options: TrainOptions, report: Report = lambda stage, done, total: None) -> Release:
    """Train HEIN, head and backbone, and beside them the same backbone without knowledge; write the release.

    Test users' ratings are read for the reported test AUC alone. Raises `TerminalError` for missing or damaged data.
    """
    torch.manual_seed(options.seed)
    made = _prepare(options, report)
    scenario = load_scenario("films")
    vocabulary = _vocabulary(made)
    hein, space, users_projected = _space(made)
    rows = [0, *(vocabulary.get(item, 1) for item in made.samples.items)]
    index = torch.tensor(rows, dtype=torch.int32)
    parts = {name: made.samples.of(getattr(made.split, name)) for name in ("train", "valid", "test")}

    shape = RankerShape(vocabulary=len(vocabulary) + 2, anchors=len(made.store.catalogue.anchors))
    ranker = Ranker(shape)
    means = _set_anchors(ranker, made, vocabulary, space)
    report("features", 0, 1)
    features = head_features(ranker, made.samples, space, index, HISTORY)
    _set_standard(ranker, features[torch.from_numpy(parts["train"])])
    report("features", 1, 1)

    def run(stage: str, network: Ranker, experts: Hein | None, epochs: int) -> dict[str, float]:
        known = None if experts is None else features
        inputs = Inputs(made.samples, space, users_projected, index, HISTORY, known)
        settings = FitOptions(epochs=epochs, seed=options.seed)
        auc, epoch = fit(
            network, experts, inputs, parts["train"], parts["valid"], settings, lambda d, t: report(stage, d, t)
        )
        return {"valid": auc, "epochs": epoch, "test": evaluate(network, experts, inputs, parts["test"])}

    ours = run("ranker", ranker, hein, options.epochs)
    torch.manual_seed(options.seed)
    plain_shape = RankerShape(vocabulary=shape.vocabulary, anchors=shape.anchors, knowledge=False)
    plain = run("without knowledge", Ranker(plain_shape), None, options.plain_epochs)

    about = About(
        scenario=scenario.name,
        factors=scenario.factors,
        encoder_id=made.encoder_id,
        dim=shape.dim,
        history_length=HISTORY,
        ring_size=RING,
        anchors=tuple(made.store.catalogue.anchors),
        anchor_means=means,
        accepted_knowledge=(f"{made.store.model}|{made.store.template_version}|{made.store.catalogue_version}",),
        model_name=shape.backbone,
        metrics={
            "auc_valid": round(ours["valid"], 5),
            "auc_valid_without_knowledge": round(plain["valid"], 5),
            "auc_test": round(ours["test"], 5),
            "auc_test_without_knowledge": round(plain["test"], 5),
        },
        hein=hein.shape,
        ranker=shape,
        training={
            "data": "MovieLens-100K",
            "seed": options.seed,
            "epochs": ours["epochs"],
            "epochs_without_knowledge": plain["epochs"],
            **{f"samples_{name}": len(numbers) for name, numbers in parts.items()},
            "users_train": len(made.split.train),
            "without_users": sorted(options.without_users),
        },
    )
    return write_release(options.out, about, hein, ranker, vocabulary)


def _prepare(options: TrainOptions, report: Report) -> _Material:
    report("data", 0, 1)
    data = load(options.data)
    ratings = data.by_user()
    split = split_users(list(ratings))
    kept = tuple(user for user in split.train if user not in options.without_users)[: options.most_users]
    split = UserSplit(kept, split.valid[: options.most_users], split.test[: options.most_users])
    histories = {user: [rating.item_id for rating in own] for user, own in ratings.items()}
    store = RecordedStore.load(histories=histories)
    wanted = {*split.train, *split.valid, *split.test}
    known = {user: record for user, record in store.users().items() if user in wanted}
    samples = build_samples(data, known, store.catalogue.anchors, load_scenario("films"), RING)
    if not len(samples.of(split.train)):
        raise TerminalError("no_data", "no training user is left: name fewer in --without-users")
    report("data", 1, 1)
    encoder, cache = SentenceEncoder(options.encoder_id), EncodingCache(options.encodings)
    item_texts = [store.items().get(item, {}) for item in samples.items]
    user_texts = [known[user].factors for user in samples.users]
    texts = [text for factors in (*item_texts, *user_texts) for text in factors.values() if text.strip()]
    cache.encode(encoder, texts, lambda done, total: report("encodings", done, total))
    names = load_scenario("films").factors
    encoded = [encode_factors(side, names, encoder, cache) for side in (item_texts, user_texts)]
    items, users = ((torch.from_numpy(vectors), torch.from_numpy(mask)) for vectors, mask in encoded)
    return _Material(data, store, samples, split, encoder.encoder_id, items, users)


def _vocabulary(made: _Material) -> dict[str, int]:
    """Items that training users touched; every other item is `unknown`, for its embedding would be noise."""
    training = set(made.split.train)
    touched = {rating.item_id for rating in made.data.ratings if rating.user_id in training}
    return {item: index for index, item in enumerate((i for i in made.samples.items if i in touched), start=2)}


def _space(made: _Material) -> tuple[Hein, Space, torch.Tensor]:
    items, item_mask = made.items
    users, user_mask = made.users
    hein = Hein(HeinShape(factors=items.shape[1], text_dim=items.shape[2]))
    training = torch.from_numpy(np.isin(np.array(made.samples.users), np.array(made.split.train)))
    hein.fit_space(items, item_mask, users[training], user_mask[training])
    # The projections stay at PCA (docs/decisions.md), so vectors and head features are computed once.
    hein.projection.requires_grad_(False)
    with torch.no_grad():
        item_vec = hein.project(centre(items, hein.item_mean, item_mask))
        item_vec = torch.cat([torch.zeros_like(item_vec[:1]), item_vec])
        users_projected = hein.project(centre(users, hein.user_mean, user_mask))
        # Not read by the head; the true summaries come from the experts while they learn.
        blank = torch.zeros(len(item_vec), hein.shape.summary), torch.zeros(len(users), hein.shape.summary)
    return hein, Space(item_vec, *blank), users_projected


def _set_anchors(ranker: Ranker, made: _Material, vocabulary: dict[str, int], space: Space) -> tuple[float, ...]:
    """Fill the head's anchor tables; returns the LLM's mean value per anchor over training users."""
    anchors = made.store.catalogue.anchors
    known = made.store.users()
    training = [known[user].expectations for user in made.split.train if user in known]
    means = []
    for anchor in anchors:
        values = [e.anchors[anchor] for e in training if e is not None and anchor in e.anchors]
        means.append(round(float(np.mean(values)), 6) if values else 0.0)
    rows = {item: row for row, item in enumerate(made.samples.items, start=1)}
    head = ranker.head
    if head is None:
        raise ValueError("a ranker without knowledge has no anchors")
    head.anchor_vec.copy_(space.item_vec[[rows.get(anchor, 0) for anchor in anchors]])
    # An anchor outside the vocabulary is no candidate's own index: -1, for 1 would match every unknown item.
    head.anchor_index.copy_(torch.tensor([vocabulary.get(anchor, -1) for anchor in anchors], dtype=torch.int32))
    head.anchor_means.copy_(torch.tensor(means))
    head.anchor_likeness.copy_(anchor_likeness(made.data.ratings, made.split.train, vocabulary, anchors))
    return tuple(means)


def _set_standard(ranker: Ranker, features: torch.Tensor) -> None:
    if ranker.head is not None:
        ranker.head.mean.copy_(features.mean(0))
        ranker.head.scale.copy_(features.std(0).clamp(min=1e-3))


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
