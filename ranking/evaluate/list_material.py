"""What rerankers are trained on in one fold: lists, the head's columns of their items, and their first order."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ranking.collaborative import RANK
from ranking.columns import set_anchors, without_own_ratings
from ranking.evaluate.base_order import base_scores
from ranking.evaluate.list_inputs import all_samples, item_counts, list_ids, lists_of
from ranking.evaluate.lists import Kind, Lists
from ranking.evaluate.metrics import Floats, Numbers
from ranking.fold import HISTORY, FoldMaterial, build_fold, fold_users
from ranking.head import MatchingHead, widths
from ranking.inputs import Samples, Space
from ranking.shape import RankerShape
from ranking.sources import Sources, encode_texts, item_space

_LISTS_AT_ONCE = 256


@dataclass(frozen=True)
class ListMaterial:
    """Inputs of n lists of L items."""

    lists: Lists
    ids: Mapping[str, Tensor]  # hist_index, hist_value, user_mask by list; item_index, item_mask [n, L]
    columns: Mapping[str, Tensor]  # raw columns f16[n, L, width] of the head's groups
    base: Floats  # [n, L] logits of the first order
    popular: Floats  # [n, L] ratings of the item by training users
    fold: FoldMaterial
    dim: int
    train: Numbers  # numbers of lists
    valid: Numbers
    test: Numbers


def build_list_material(data: Path, encodings: Path, cache: Path, fold: int, kind: Kind) -> ListMaterial:
    """Everything fitted on the fold's training users."""
    sources = Sources.load(data)
    samples = all_samples(sources)
    lists = lists_of(sources, samples, kind)
    material = build_fold(data, encodings, cache, fold)
    base = base_scores(sources, data, encodings, cache)[kind]
    split = fold_users(sources.data, fold)
    vocabulary = sources.vocabulary(split.train)
    index = torch.tensor([0, *(vocabulary.get(item, 1) for item in samples.items)], dtype=torch.int32)
    space = item_space(encode_texts(sources, samples.users, encodings).items, material.item_vec.shape[2])
    shape = RankerShape(
        len(vocabulary) + 2,
        factors=space.shape[1],
        dim=space.shape[2],
        anchors=len(sources.store.catalogue.anchors),
        groups=tuple(widths(1)),
        collaborative=RANK,
    )
    head = MatchingHead(shape)
    set_anchors(head, sources, split.train, vocabulary, space)
    rows = {user: row for row, user in enumerate(samples.users)}

    def of(users: tuple[str, ...]) -> Numbers:
        return np.flatnonzero(np.isin(lists.user, [rows[user] for user in users if user in rows]))

    columns: dict[str, Tensor] = {}
    for users in without_own_ratings(head, sources, split.train, (*split.valid, *split.test), vocabulary, space):
        _fill(columns, head, samples, lists, space, index, of(tuple(users)))
    training = set(split.train)
    counts = item_counts(sources, samples, training)
    return ListMaterial(
        lists,
        list_ids(samples, lists, index),
        columns,
        base,
        counts[lists.item].astype(np.float32),
        material,
        space.shape[2],
        *(of(part) for part in (split.train, split.valid, split.test)),
    )


def _fill(
    columns: dict[str, Tensor],
    head: MatchingHead,
    samples: Samples,
    lists: Lists,
    space: Tensor,
    index: Tensor,
    numbers: Numbers,
) -> None:
    """Compute the raw columns of these lists and put them into `columns`, in place."""
    blank = Space(space, torch.zeros(len(space), 1), torch.zeros(len(samples.users), 1))  # no summaries here
    with torch.inference_mode():
        for start in range(0, len(numbers), _LISTS_AT_ONCE):
            chunk = numbers[start : start + _LISTS_AT_ONCE]
            items = torch.from_numpy(lists.item[chunk])
            batch = samples.batch(lists.sample[chunk], blank, index, HISTORY)
            batch |= {"item_index": index[items], "item_vec": space[items]}
            batch["item_mask"] = torch.ones(items.shape, dtype=torch.uint8)
            for name, values in head.columns(batch, head.groups).items():
                if name not in columns:
                    columns[name] = torch.zeros(*lists.item.shape, values.shape[2], dtype=torch.float16)
                columns[name][torch.from_numpy(chunk)] = values.half()
