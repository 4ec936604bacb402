"""Clusters of users or items, as an artefact: assignment of anybody without a call, and when to cluster again.

    <folder>/<version>/clusters.safetensors   centre f32[D], centroids f32[k, D], quality f32[k], counts i64[k]
                       clusters.json          entity, representation, version, seed
                       members.json           who was clustered (personal data; forgetting rewrites it)

The version is the hash of the first two: knowledge written for clusters names it. Vectors are centred by the mean at
build time (else everybody looks like everybody: the cosine of two users' raw vectors is mostly what all share).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from encoders.balance import MIN_MEMBERS, Labels, Vectors, balanced_kmeans, clusters_for_budget, members_allowed
from encoders.representation import unit
from knowledge.base import TerminalError

__all__ = [
    "Clusters",
    "Drift",
    "balanced_kmeans",
    "build_clusters",
    "clusters_for_budget",
    "members_allowed",
]

TOP_M, TEMPERATURE = 5, 0.2  # chosen by `benchmarks/collective.py`


@dataclass(frozen=True)
class Drift:
    """How far a population has moved from its clusters. Similarities are cosines to the nearest centroid."""

    similarity_then: float
    similarity_now: float
    moved: float  # share of the entities known at build time whose nearest cluster is another one now
    recluster: bool  # beyond a threshold of `Clusters.drift`


@dataclass(frozen=True)
class Clusters:
    """k clusters of one entity kind in one vector space."""

    entity: str  # user or item
    representation: str  # what the vectors are, e.g. "experienced|<release id>"
    seed: int
    centre: Vectors  # f32[D], subtracted before anything else
    centroids: Vectors  # f32[k, D], unit rows
    counts: Labels  # i64[k] members at build time
    quality: Vectors  # f32[k] mean cosine of the members to their centroid at build time
    members: dict[str, tuple[int, int]]  # id -> (its cluster, its nearest cluster): balancing can make them differ

    @property
    def k(self) -> int:
        """Number of clusters."""
        return len(self.centroids)

    @cached_property
    def version(self) -> str:
        """12 hex characters of the content, members aside."""
        content = hashlib.sha256(json.dumps([self.entity, self.representation, self.seed]).encode())
        for part in (self.centre, self.centroids, self.quality, self.counts):
            content.update(np.ascontiguousarray(part).tobytes())
        return content.hexdigest()[:12]

    def similarities(self, vectors: Vectors) -> Vectors:
        """Cosines f32[n, k] of representations f32[n, D] to the centroids.

        Raises `TerminalError` (`other_representation`) for vectors of another width.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.centre):
            raise TerminalError(
                "other_representation",
                f"clusters {self.version} were built on {self.representation} of width {len(self.centre)}, "
                f"not on vectors {vectors.shape}: cluster again",
            )
        cosines: Vectors = self._placed(vectors) @ self.centroids.T
        return cosines

    def assign(self, vectors: Vectors, top_m: int = TOP_M, temperature: float = TEMPERATURE) -> tuple[Labels, Vectors]:
        """The `top_m` nearest clusters of each row f32[n, D], and their weights; no call, no memory of members.

        Returns (ids i64[n, m], nearest first; weights f32[n, m], a softmax of cosine / `temperature`, sum 1), with
        m = min(top_m, k). A low temperature gives all weight to the nearest.
        """
        if top_m < 1 or temperature <= 0:
            raise ValueError("top_m is at least 1 and the temperature above 0")
        similar = self.similarities(vectors)
        ids = np.argsort(-similar, axis=1, kind="stable")[:, :top_m]
        near = np.take_along_axis(similar, ids, axis=1) / temperature
        weights = np.exp(near - near[:, :1])
        return ids.astype(np.int64), (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)

    def drift(self, ids: Sequence[str], vectors: Vectors, *, most_moved: float = 0.3, most_lost: float = 0.1) -> Drift:
        """Compare the population now, f32[n, D], with the one at build time.

        Clustering again is due when more than `most_moved` of the known entities have another nearest cluster, or
        when the mean similarity fell by more than `most_lost` of what it was.
        """
        then = float((self.quality * self.counts).sum() / max(1, int(self.counts.sum())))
        if not len(ids):
            return Drift(then, then, 0.0, False)
        similar = self.similarities(vectors)
        nearest = similar.argmax(axis=1)
        known = [(int(near), self.members[i][1]) for i, near in zip(ids, nearest, strict=True) if i in self.members]
        moved = sum(now != before for now, before in known) / len(known) if known else 0.0
        now = float(similar.max(axis=1).mean())
        return Drift(then, now, moved, moved > most_moved or now < then * (1.0 - most_lost))

    def of(self, cluster: int) -> tuple[str, ...]:
        """Ids of a cluster's members at build time, without the forgotten."""
        return tuple(entity_id for entity_id, (own, _) in self.members.items() if own == cluster)

    def without(self, entity_id: str) -> "Clusters":
        """Without a forgotten entity; the version stays, for a mean of at least `min_members` tells of nobody."""
        return replace(self, members={i: place for i, place in self.members.items() if i != entity_id})

    def representatives(
        self, cluster: int, ids: Sequence[str], vectors: Vectors, central: int = 6, different: int = 4
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The most central members of a cluster, and those most different from them and from each other.

        `ids` and `vectors` f32[n, D] are of the population; only members count. Farthest-point choice for the
        different ones: the next is the member whose nearest chosen one is farthest away. Ties go to the first.
        """
        rows = [row for row, i in enumerate(ids) if i in self.members and self.members[i][0] == cluster]
        if not rows:
            return (), ()
        placed = self._placed(vectors[rows])
        order = np.argsort(-(placed @ self.centroids[cluster]), kind="stable")
        chosen = [int(place) for place in order[:central]]
        others: list[int] = []
        closest = (placed @ placed[chosen].T).max(axis=1) if chosen else np.full(len(rows), -1.0, dtype=np.float32)
        for _ in range(min(different, len(rows) - len(chosen))):
            closest[[*chosen, *others]] = np.inf
            others.append(int(closest.argmin()))
            closest = np.maximum(closest, placed @ placed[others[-1]])
        return tuple(ids[rows[place]] for place in chosen), tuple(ids[rows[place]] for place in others)

    def _placed(self, vectors: Vectors) -> Vectors:
        return unit(np.asarray(vectors, dtype=np.float32) - self.centre)


def build_clusters(
    ids: Sequence[str],
    vectors: Vectors,
    k: int,
    *,
    entity: str,
    representation: str,
    min_members: int = MIN_MEMBERS,
    seed: int = 0,
) -> Clusters:
    """Cluster the representations f32[n, D] of `ids`; raises what `balanced_kmeans` raises."""
    if len(ids) != len(vectors) or len(set(ids)) != len(ids):
        raise ValueError(f"{len(ids)} ids ({len(set(ids))} different) for {len(vectors)} vectors")
    centre = np.asarray(vectors, dtype=np.float64).mean(axis=0).astype(np.float32)
    placed = unit(np.asarray(vectors, dtype=np.float32) - centre)
    labels, centroids = balanced_kmeans(placed, k, min_members, seed)
    directions = unit(centroids)
    similar = placed @ directions.T
    own = similar[np.arange(len(ids)), labels].astype(np.float64)
    counts = np.bincount(labels, minlength=k).astype(np.int64)
    quality = (np.bincount(labels, weights=own, minlength=k) / np.maximum(counts, 1)).astype(np.float32)
    nearest = similar.argmax(axis=1)
    members = {i: (int(label), int(near)) for i, label, near in zip(ids, labels, nearest, strict=True)}
    return Clusters(entity, representation, seed, centre, directions, counts, quality, members)
