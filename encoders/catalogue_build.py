"""Choose a catalogue's anchors and shortlist from clusters of its items.

Anchors are the most-touched items of k clusters: known to most, and far apart, so that a value for each places a
person. The shortlist takes from all clusters in turn, so that something can be liked and disliked in every corner.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from encoders.balance import Vectors, balanced_kmeans, members_allowed
from encoders.representation import unit
from knowledge.base import TerminalError
from knowledge.catalogue import Catalogue

ANCHORS, SHORTLIST = 40, 300
_LEAST_TOUCHES = 5  # an item that fewer people touched is not well known


@dataclass(frozen=True)
class CatalogueItem:
    """One item that could be named. `touches`: by how many people; `reviewed`: a person has checked its title."""

    item_id: str
    touches: int
    reviewed: bool = True


def build_catalogue(
    items: Sequence[CatalogueItem],
    vectors: Vectors,
    *,
    name: str,
    anchors: int = ANCHORS,
    shortlist: int = SHORTLIST,
    seed: int = 0,
    representation: str = "",
) -> Catalogue:
    """Cluster the items by their representations f32[n, D] and choose.

    Only reviewed items with at least five touches are chosen, or all reviewed ones where that leaves fewer than
    `anchors`. The shortlist contains the anchors and stands in an order drawn from the seed and the ids, so that a
    place in it says nothing about fame. `representation` is kept as how the catalogue was made.

    Raises `TerminalError` (`catalogue_too_small`) if fewer items than `anchors` may be named.
    """
    if not 1 <= anchors <= shortlist:
        raise ValueError("a catalogue has at least one anchor, and the shortlist holds the anchors")
    rows = [row for row, item in enumerate(items) if item.reviewed and item.touches >= _LEAST_TOUCHES]
    if len(rows) < anchors:
        rows = [row for row, item in enumerate(items) if item.reviewed]
    if len(rows) < anchors:
        raise TerminalError(
            "catalogue_too_small", f"{len(rows)} items may be named, fewer than {anchors} anchors: ask for fewer"
        )
    chosen = np.asarray(vectors, dtype=np.float32)[rows]
    placed = unit(chosen - chosen.mean(axis=0))
    least = members_allowed(len(rows), anchors, 5)
    labels, _ = balanced_kmeans(placed, anchors, least, seed)
    queues: list[list[CatalogueItem]] = [[] for _ in range(anchors)]
    for row, label in zip(rows, labels.tolist(), strict=True):
        queues[label].append(items[row])
    for queue in queues:
        queue.sort(key=lambda item: (-item.touches, item.item_id))
    # In the order of fame, as the recorded catalogue's: the order of anchors is only that of numbers in an answer.
    first = sorted((queue[0] for queue in queues), key=lambda item: (-item.touches, item.item_id))
    named = [item.item_id for item in first]
    turns = (queue[turn] for turn in range(1, max(map(len, queues))) for queue in queues if turn < len(queue))
    listed = [*named, *(item.item_id for item in turns)][:shortlist]
    made = {
        "rule": "most touched of balanced k-means clusters, shortlist in turns",
        "anchors": anchors,
        "shortlist": shortlist,
        "least_touches": _LEAST_TOUCHES,
        "seed": seed,
        "representation": representation,
    }
    return Catalogue.named(name, named, sorted(listed, key=lambda item_id: _drawn(seed, item_id)), made)


def _drawn(seed: int, item_id: str) -> bytes:
    return hashlib.sha256(f"{seed}:{item_id}".encode()).digest()
