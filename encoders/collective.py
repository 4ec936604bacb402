"""Between vectors and texts: what to ask about each cluster, and how much each cluster weighs for somebody."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from encoders.balance import Labels, Vectors
from encoders.clusters import TEMPERATURE, TOP_M, Clusters
from encoders.representation import unit
from knowledge.collective import ClusterMember, ClusterRequest

CENTRAL, DIFFERENT = 6, 4


def cluster_requests(
    clusters: Clusters,
    ids: Sequence[str],
    vectors: Vectors,
    members: Mapping[str, ClusterMember],
    wanted: Sequence[int] | None = None,
    *,
    central: int = CENTRAL,
    different: int = DIFFERENT,
) -> Iterator[ClusterRequest]:
    """One request for each cluster (or each of the `wanted` ones), in order of their numbers.

    `ids` with `vectors` f32[n, D] are the population that was clustered; `members` holds what may be told of each
    (one who is missing is left out). A cluster of which nobody is left gives no request.
    """
    for cluster in range(clusters.k) if wanted is None else wanted:
        typical, others = clusters.representatives(cluster, ids, vectors, central, different)
        own = tuple(members[i] for i in clusters.of(cluster) if i in members)
        if own:
            yield ClusterRequest(
                clusters.entity,
                cluster,
                clusters.version,
                own,
                tuple(i for i in typical if i in members),
                tuple(i for i in others if i in members),
            )


def memberships(
    clusters: Clusters, vectors: Vectors, top_m: int = TOP_M, temperature: float = TEMPERATURE
) -> list[list[tuple[int, float]]]:
    """`Clusters.assign` as `knowledge.collective` wants it: for each row of `vectors` [(cluster, weight), ...]."""
    ids, weights = clusters.assign(vectors, top_m, temperature)
    return [list(zip(own, shares, strict=True)) for own, shares in zip(ids.tolist(), weights.tolist(), strict=True)]


def soft_vectors(ids: Labels, weights: Vectors, cluster_vectors: Vectors) -> Vectors:
    """Entities' collective vectors: weighted means of their clusters' vectors, per factor to unit length.

    `ids` i64[n, m] and `weights` f32[n, m] as from `Clusters.assign`, `cluster_vectors` f32[k, F, d] the encoded (and
    projected) texts of the clusters. Returns f32[n, F, d]; zeros where no cluster has a text.
    """
    mixed = np.einsum("nm,nmfd->nfd", weights, cluster_vectors[ids])
    return unit(mixed.astype(np.float32))
