"""What training on short histories changes: the release's network trained without and with them, as `--check-split`.

    .venv/bin/python -m benchmarks.short_histories --data DIR --encodings DIR --out FILE.json [--seeds 0]

AUC and GAUC on the validation and the test users of the seed-1234 split as they are, and on the test users with their
histories cut to a few events: the newest ones (as in training) and the first ones (as in `reki evaluate robust`). The
LLM's knowledge stays. The network with short histories is the one that `ranking.train --check-split` writes.
"""

import argparse
import copy
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from knowledge.scenario import load_scenario
from ranking import training_users
from ranking.columns import Columns, fill
from ranking.evaluate import metrics
from ranking.evaluate.cold_users import columns_by_user, cut
from ranking.fit import Inputs, fit, predict
from ranking.fold import HISTORY, RING
from ranking.head import EXPERIENCED
from ranking.head import HISTORY as HISTORY_MASK
from ranking.inputs import Ints, Samples, build_samples, index_of
from ranking.settled import BACKBONE, VARIANT
from ranking.short_histories import newest
from ranking.training_material import TrainingMaterial, prepare
from ranking.training_users import TRAIN
from ranking.tuned import tuned
from ranking.variants import EPOCHS, VARIANTS

CUTS = (0, 1, 3, 5, 9)


def measure(data: Path, encodings: Path, seed: int) -> dict[str, object]:
    """Train both ways and score."""
    torch.manual_seed(seed)
    split = partial(training_users.split, without=frozenset())
    made = prepare(data, encodings, "auto", split, lambda stage, done, total: None, seed)
    drawn = torch.get_rng_state()
    test, train = made.numbers["test"], made.numbers[TRAIN]
    views = {"full": made.inputs, **dict(_views(made))}
    page: dict[str, object] = {}
    for name, numbers in (("without", train), ("with", np.concatenate([train, made.short]))):
        torch.set_rng_state(drawn)
        begin = time.process_time()
        ranker, hein = copy.deepcopy(made.ranker), copy.deepcopy(made.hein)
        options = tuned(BACKBONE, VARIANTS[VARIANT].knows, EPOCHS, seed)
        _, epochs = fit(ranker, hein, made.inputs, numbers, made.numbers["valid"], options)
        cpu_s = round(time.process_time() - begin, 1)
        scored = {
            "valid": _score(made, made.numbers["valid"], predict(ranker, hein, made.inputs, made.numbers["valid"]))
        }
        for view, inputs in views.items():
            rows = test if view == "full" else np.arange(len(test))
            scored[f"test, {view}"] = _score(made, test, predict(ranker, hein, inputs, rows))
        page[name] = {"rows": len(numbers), "epochs": epochs, "cpu_s": cpu_s, "scores": scored}
        print(json.dumps({"seed": seed, name: page[name]}), flush=True)
    return page


def _score(made: TrainingMaterial, numbers: Ints, logits: np.ndarray) -> dict[str, float]:
    label = made.inputs.label[torch.from_numpy(numbers)].numpy()
    auc, gauc = metrics.auc(label, logits), metrics.gauc(made.sample_users[numbers], label, logits)
    return {"auc": round(auc, 4), "gauc": round(gauc, 4)}


def _views(made: TrainingMaterial) -> Iterator[tuple[str, Inputs]]:
    """The test samples, in order, with histories cut."""
    store, known = made.sources.store, made.sources.store.users()
    records = {user: known[user] for user in made.users["test"] if user in known}
    catalogue = store.catalogue.anchors
    samples = build_samples(made.sources.data, records, catalogue, load_scenario("films"), RING)
    own = torch.from_numpy(made.numbers["test"])
    if not np.array_equal(samples.item, made.inputs.item[own].numpy()):
        raise ValueError("the test samples come in another order")
    index = index_of(samples.items, made.vocabulary)
    for events in CUTS:
        first = cut(samples, made.sources, events)
        yield f"first {events}", _inputs(made, first, own, index, by_user=True)
        if events:
            numbers = np.arange(len(samples))
            shown = newest(samples, numbers, np.full(len(samples), events))
            yield f"newest {events}", _inputs(made, shown, own, index, by_user=False)


def _inputs(made: TrainingMaterial, samples: Samples, own: torch.Tensor, index: torch.Tensor, by_user: bool) -> Inputs:
    head, groups, numbers = made.ranker.head, made.ranker.shape.groups, np.arange(len(samples))
    if head is None:
        raise ValueError("a release without a head has no knowledge")
    columns: Columns = {}
    if by_user:
        columns = columns_by_user(head, samples, made.inputs.item_vec, index)
    else:
        fill(columns, head, samples, made.inputs.item_vec, index, numbers, HISTORY, groups)
    ids = samples.ids(numbers, index, HISTORY)
    if not samples.ring.item.any():  # as serving says it of a user without history
        ids["user_mask"][:, [HISTORY_MASK, EXPERIENCED]] = 0
    features = torch.cat([columns[name].float() for name in groups], dim=1)
    old = made.inputs
    return replace(old, ids=ids, label=old.label[own], user=old.user[own], item=old.item[own], features=features)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encodings", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {seed: measure(args.data, args.encodings, int(seed)) for seed in args.seeds.split(",")}
    args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
