"""What rerankers are trained on in one fold: lists, the head's columns of their items, and their first order."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ranking.evaluate.base_order import base_scores
from ranking.evaluate.list_columns import DIM, kept_columns, lists_of_users
from ranking.evaluate.list_inputs import all_samples, item_counts, list_ids, lists_of
from ranking.evaluate.lists import Kind, Lists
from ranking.evaluate.metrics import Floats, Numbers
from ranking.fold import fold_users
from ranking.inputs import index_of
from ranking.sources import Sources


@dataclass(frozen=True)
class ListMaterial:
    """Inputs of n lists of L items."""

    lists: Lists
    ids: Mapping[str, Tensor]  # hist_index, hist_value, user_mask by list; item_index, item_mask [n, L]
    columns: Mapping[str, Tensor]  # raw columns f16[n, L, width] of the head's groups
    base: Floats  # [n, L] logits of the first order
    popular: Floats  # [n, L] ratings of the item by training users
    vocabulary: int  # item indices, padding and unknown included
    dim: int
    train: Numbers  # numbers of lists
    valid: Numbers
    test: Numbers


def build_list_material(data: Path, encodings: Path, cache: Path, fold: int, kind: Kind) -> ListMaterial:
    """Everything fitted on the fold's training users; columns and first orders are kept in `cache`."""
    sources = Sources.load(data)
    samples = all_samples(sources)
    lists = lists_of(sources, samples, kind)
    split = fold_users(sources.data, fold)
    vocabulary = sources.vocabulary(split.train)
    index = index_of(samples.items, vocabulary)
    return ListMaterial(
        lists,
        list_ids(samples, lists, index),
        kept_columns(sources, data, encodings, cache, fold, kind, samples, lists),
        base_scores(sources, data, cache)[kind][fold],
        item_counts(sources, samples, set(split.train))[lists.item].astype(np.float32),
        len(vocabulary) + 2,
        DIM,
        *(lists_of_users(samples, lists, part) for part in (split.train, split.valid, split.test)),
    )
