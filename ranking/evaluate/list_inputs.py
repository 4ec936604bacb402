"""Samples and lists of a data set, before anything is fitted."""

import numpy as np
import torch
from torch import Tensor

from knowledge.scenario import load_scenario
from ranking.evaluate.lists import Kind, Lists, build_lists
from ranking.evaluate.metrics import Numbers
from ranking.fold import HISTORY, RING
from ranking.inputs import Samples, build_samples
from ranking.sources import Sources


def all_samples(sources: Sources) -> Samples:
    """All samples, in strict order."""
    return build_samples(
        sources.data, sources.store.users(), sources.store.catalogue.anchors, load_scenario("films"), RING
    )


def item_counts(sources: Sources, samples: Samples, users: set[str] | None = None) -> Numbers:
    """Ratings i64[R] of each item row, by these users or by all."""
    rows = {item: row for row, item in enumerate(samples.items, start=1)}
    rated = [rows[rating.item_id] for rating in sources.data.ratings if users is None or rating.user_id in users]
    return np.bincount(rated, minlength=len(rows) + 1)


def lists_of(sources: Sources, samples: Samples, kind: Kind) -> Lists:
    """All lists of this kind, the same for every fold."""
    rows = {item: row for row, item in enumerate(samples.items, start=1)}
    by_user = sources.data.by_user()
    rated = {row: [rows[rating.item_id] for rating in by_user[user]] for row, user in enumerate(samples.users)}
    return build_lists(samples.user, samples.item, samples.label, rated, item_counts(sources, samples), kind)


def list_ids(samples: Samples, lists: Lists, index: Tensor) -> dict[str, Tensor]:
    """The ranker's tensors that are no vectors: hist_index, hist_value [n, H], user_mask [n, 4], item_* [n, L]."""
    ids = samples.ids(lists.sample, index, HISTORY)
    ids["item_index"] = index[torch.from_numpy(lists.item)]
    ids["item_mask"] = torch.ones(lists.item.shape, dtype=torch.uint8)
    return ids
