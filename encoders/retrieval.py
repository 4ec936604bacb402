"""Items found for one user of a large catalogue, to be named beside the global shortlist: near, far and fresh.

Near ones are what the user may love, far ones what they may not (and what would surprise), fresh ones what nobody has
touched for long. Exact search. numpy only.
"""

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from encoders.representation import unit

Vectors = npt.NDArray[np.float32]

NEAR, FAR, FRESH = 30, 15, 15
_DISLIKED_WEIGHT = 0.5  # what is like the disliked is less near; liking says more about a person than not liking
_FRESH_SHARE = 0.1  # of the items, by first appearance


class Retriever:
    """Finds items by their knowledge vectors.

    `ids` name n items with `vectors` f32[n, F, d] (a release's), `touches` i64[n] (by how many people) and
    `first_seen` f64[n] (seconds, any origin). Items without a vector (zeros) are never found.
    """

    def __init__(
        self,
        ids: Sequence[str],
        vectors: Vectors,
        touches: npt.NDArray[np.integer],
        first_seen: npt.NDArray[np.floating],
    ) -> None:
        if not len(ids) == len(vectors) == len(touches) == len(first_seen):
            raise ValueError("ids, vectors, touches and first_seen are of the same items")
        self._ids = tuple(ids)
        self._places = {item_id: place for place, item_id in enumerate(self._ids)}
        self._vectors = unit(vectors.reshape(len(ids), -1).astype(np.float32))
        has_vector = np.abs(self._vectors).sum(axis=1) > 0
        # Far items must be known, or the LLM could only guess about them.
        known = touches >= np.median(touches[has_vector]) if has_vector.any() else has_vector
        newest = np.argsort(-np.asarray(first_seen, dtype=np.float64), kind="stable")
        newest = newest[has_vector[newest]]
        fresh = np.zeros(len(ids), dtype=bool)
        fresh[newest[: max(FRESH, int(_FRESH_SHARE * len(newest)))]] = True
        self._near, self._far, self._fresh = has_vector, has_vector & known, fresh

    def find(
        self,
        experienced: Vectors,
        touched: Sequence[Collection[str]],
        near: int = NEAR,
        far: int = FAR,
        fresh: int = FRESH,
    ) -> list[tuple[str, ...]]:
        """For each user at most near + far + fresh items that they have not touched, in an order that tells nothing.

        A user gets the same alone as in a batch, whatever the number of threads: what is found is part of a prompt,
        and a prompt that differs in one item is paid for again. So no matrix product here, whose last bits depend on
        both.

        `experienced` f32[n, 2, F, d] are the users' vectors. A user without any gets the fresh ones alone.
        """
        sides = unit(experienced.reshape(len(experienced), 2, -1).astype(np.float32))
        tastes = sides[:, 0] - _DISLIKED_WEIGHT * sides[:, 1]
        found = []
        for taste, side, own in zip(tastes, sides, touched, strict=True):
            score = np.einsum("nd,d->n", self._vectors, taste)
            free = np.ones(len(self._ids), dtype=bool)
            free[[self._places[item_id] for item_id in own if item_id in self._places]] = False
            chosen: list[int] = []
            wanted = [(self._fresh, fresh, -score), (self._near, near, -score), (self._far, far, score)]
            # Fresh first: they are few, and the nearest of them would else be taken as near.
            for allowed, count, order in wanted if side.any() else wanted[:1]:
                rows = np.flatnonzero(allowed & free)
                rows = rows[np.argsort(order[rows], kind="stable")[:count]]
                chosen += rows.tolist()
                free[rows] = False
            found.append(tuple(sorted((self._ids[row] for row in chosen), key=_drawn)))
        return found


def _drawn(item_id: str) -> bytes:
    return hashlib.sha256(item_id.encode()).digest()
