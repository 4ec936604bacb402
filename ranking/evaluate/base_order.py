"""The first order of the lists: logits of a DIN without knowledge that has not seen the list's user.

Each fold's DIN scores the fold's own test users. (The DINs behind a fold's training lists have seen its test users'
ratings, as in any stacking; no reranker reads more of them than these scores.)
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ranking.evaluate.list_inputs import all_samples, list_ids, lists_of
from ranking.evaluate.lists import KINDS, Kind
from ranking.evaluate.metrics import Floats, Numbers
from ranking.evaluate.store import put, take
from ranking.evaluate.version import code_version, data_version
from ranking.fold import FOLDS, FoldMaterial, build_fold, fold_users
from ranking.sources import Sources
from ranking.variants import train_variant

_BASE = ("din", "plain")


def base_scores(sources: Sources, data: Path, encodings: Path, cache: Path) -> dict[Kind, Floats]:
    """Logits of all lists by a DIN that has not seen their user, [n, L] per kind; trained once and kept in `cache`."""
    code = code_version(["ranking.evaluate.base_order", "ranking.backbones.din"])
    path = cache / f"base-{data_version([data])}-{code}.npz"
    with _alone(cache / "base.lock"):
        if not path.exists():
            put(path, _score_lists(sources, data, encodings, cache))
    kept = take(path)
    return {kind: kept[kind] for kind in KINDS}


def _score_lists(sources: Sources, data: Path, encodings: Path, cache: Path) -> dict[str, Floats]:
    samples = all_samples(sources)
    all_lists = {kind: lists_of(sources, samples, kind) for kind in KINDS}
    scores: dict[str, Floats] = {kind: np.zeros(lists.item.shape, np.float32) for kind, lists in all_lists.items()}
    for fold in range(FOLDS):
        material = build_fold(data, encodings, cache, fold)
        vocabulary = sources.vocabulary(fold_users(sources.data, fold).train)
        index = torch.tensor([0, *(vocabulary.get(item, 1) for item in samples.items)], dtype=torch.int32)
        tested = np.unique(samples.user[material.test])
        own = {kind: np.flatnonzero(np.isin(lists.user, tested)) for kind, lists in all_lists.items()}
        more = [(list_ids(samples, all_lists[kind], index), own[kind]) for kind in KINDS]
        logits = train_variant(_extended(material, more), *_BASE, 0)
        start = 0
        for kind in KINDS:
            size = len(own[kind]) * all_lists[kind].item.shape[1]
            scores[kind][own[kind]] = logits.test[start : start + size].reshape(len(own[kind]), -1)
            start += size
    return scores


def _extended(material: FoldMaterial, more: list[tuple[dict[str, Tensor], Numbers]]) -> FoldMaterial:
    """The fold's samples and, as its test samples, the items of these lists one by one."""
    ids = {name: [tensor] for name, tensor in material.ids.items()}
    for of_lists, numbers in more:
        chosen = torch.from_numpy(numbers)
        length = of_lists["item_index"].shape[1]
        for name, parts in ids.items():
            rows = of_lists[name][chosen]
            flat = rows.reshape(-1, 1) if name.startswith("item_") else rows.repeat_interleave(length, dim=0)
            parts.append(flat.to(parts[0].dtype))
    joined = {name: torch.cat(parts) for name, parts in ids.items()}
    total, known = len(joined["item_index"]), len(material.label)
    fill = torch.zeros(total - known)
    return replace(
        material,
        ids=joined,
        label=torch.cat([material.label, fill]),
        user=torch.cat([material.user, fill.long()]),
        item=torch.cat([material.item, fill.long()]),
        test=np.arange(known, total),
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
