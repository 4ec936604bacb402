"""Parts of a sample that a release may lack at request time, hidden for all samples at once.

Training hides parts at random (`ranking.fit.hide`), so that one release serves new items, cold users and every tier.
What that costs is measured against a model that never had the part: `masked` of the whole material trains it.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ranking.fold import FoldMaterial
from ranking.head import EXPECTED, EXPERIENCED, HISTORY

# Places in user_mask, by part. "events" is what a user without any event lacks: both tiers that own events make.
_OF_USER = {"expectations": (EXPECTED,), "history": (HISTORY,), "events": (HISTORY, EXPERIENCED)}
PARTS = ("id", "item", *_OF_USER)
UNKNOWN = 1  # index of an item that the release has never seen


def masked(ids: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The ranker's tensors with `part` of every sample hidden; `ids` stays as it is.

    id: the candidate is an unknown item. item: the candidate's knowledge. expectations: the LLM's of the user.
    history: own events as ids, values and statistics. events: history, and the sums over liked and disliked items.
    Raises ValueError for any other part.
    """
    if part == "id":
        return {**ids, "item_index": torch.full_like(ids["item_index"], UNKNOWN)}
    if part == "item":
        return {**ids, "item_mask": torch.zeros_like(ids["item_mask"])}
    if part not in _OF_USER:
        raise ValueError(f"no part {part!r}: there are {', '.join(PARTS)}")
    mask = ids["user_mask"].clone()
    mask[:, list(_OF_USER[part])] = 0
    return {**ids, "user_mask": mask}


def without(material: FoldMaterial, part: str) -> FoldMaterial:
    """Material of a world that does not have `part`: hidden in training, validation and test."""
    return replace(material, ids=masked(material.ids, part))
