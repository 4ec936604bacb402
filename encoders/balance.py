"""Balanced k-means: no cluster with fewer than `min_members`, none with more than three times its share.

scikit-learn's k-means first; then entities move where a limit forces it, the cheapest moves first, and the centroids
follow. A cluster below 20 members would cost a call for few people, and its answer would come close to describing a
single one. Published work names no method (docs/knowledge-inside.md); this one is ours.
"""

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # scikit-learn's own dependency

from knowledge.base import TerminalError

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

MIN_MEMBERS = 20
MOST_SHARE = 3.0  # times n / k
_ROUNDS = 4  # of moving and averaging; the moves settle in two or three


def balanced_kmeans(
    vectors: Vectors, k: int, min_members: int = MIN_MEMBERS, seed: int = 0, rounds: int = _ROUNDS
) -> tuple[Labels, Vectors]:
    """Cluster `vectors` f32[n, D]: labels i64[n] (0 to k - 1), centroids f32[k, D] (means of the members).

    Deterministic for a seed on one machine: one thread, ties to the lowest number.

    Raises:
        TerminalError: `bad_vectors` if they are not finite f[n, D]; `too_many_clusters` if n entities cannot fill
            k clusters of `min_members` each (`clusters_for_budget` and `members_allowed` never ask for that).
    """
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise TerminalError("bad_vectors", f"clustering needs finite vectors [n, D], not {vectors.shape}")
    count = len(vectors)
    if k < 1 or k > count or (k > 1 and k * min_members > count):
        raise TerminalError(
            "too_many_clusters",
            f"{count} entities do not fill {k} clusters of at least {min_members}: ask for at most "
            f"{max(1, count // max(1, min_members))}, or allow fewer members",
        )
    data = np.asarray(vectors, dtype=np.float64)  # sums of float32 depend on their order
    if k == 1:
        return np.zeros(count, dtype=np.int64), data.mean(axis=0, keepdims=True).astype(np.float32)
    most = max(min_members, int(np.ceil(MOST_SHARE * count / k)))
    # One thread: threads add their sums in the order in which they finish, and the last bit would differ.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than clusters: filled below
        centroids = KMeans(k, random_state=seed, n_init=3, algorithm="lloyd").fit(data).cluster_centers_
        labels = np.zeros(count, dtype=np.int64)
        for _ in range(max(1, rounds)):
            distance = _distances(data, centroids)
            moved = _within(distance, min_members, most)
            if np.array_equal(moved, labels):
                break
            labels = moved
            centroids = means(data, labels, k)
    return labels, centroids.astype(np.float32)


def clusters_for_budget(token_budget: int, tokens_per_call: int, count: int, min_members: int = MIN_MEMBERS) -> int:
    """How many clusters of `count` entities a token budget pays for, each with at least `min_members`.

    Raises `TerminalError` (`budget_too_small`) if it does not pay for one call, (`no_entities`) if there are none.
    """
    if count < 1:
        raise TerminalError("no_entities", "there is nobody to cluster: load users or items first")
    if tokens_per_call < 1 or token_budget < tokens_per_call:
        raise TerminalError(
            "budget_too_small", f"{token_budget} tokens do not pay for one call of about {tokens_per_call}"
        )
    return max(1, min(token_budget // tokens_per_call, count // max(1, min_members)))


def members_allowed(count: int, k: int, min_members: int = MIN_MEMBERS) -> int:
    """`min_members`, or where k clusters of that many are more than there are: half of the average size.

    Half, not all of it: clusters forced to one size would be drawn by arithmetic, not by taste.
    """
    return min_members if k * min_members <= count else max(1, count // (2 * max(1, k)))


def means(data: npt.NDArray[np.float64], labels: Labels, k: int) -> npt.NDArray[np.float64]:
    """Mean of each label's rows f64[k, D]; zeros for a label without rows."""
    sums = np.zeros((k, data.shape[1]))
    np.add.at(sums, labels, data)
    sizes = np.bincount(labels, minlength=k)
    return sums / np.maximum(sizes, 1)[:, None]


def _distances(data: npt.NDArray[np.float64], centroids: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Squared, without the row's own square: it is the same for all clusters.
    distances: npt.NDArray[np.float64] = (centroids**2).sum(1)[None, :] - 2.0 * data @ centroids.T
    return distances


def _within(distance: npt.NDArray[np.float64], least: int, most: int) -> Labels:
    """The nearest cluster, but for the entities whose move costs least where a cluster is too full or too small."""
    count, k = distance.shape
    labels: Labels = distance.argmin(axis=1).astype(np.int64)
    sizes = np.bincount(labels, minlength=k)
    for full in np.flatnonzero(sizes > most):
        members = np.flatnonzero(labels == full)
        open_to = np.where(sizes[None, :] < most, distance[members], np.inf)
        extra = open_to.min(axis=1) - distance[members, full]
        for row in members[np.argsort(extra, kind="stable")]:
            if sizes[full] <= most:
                break
            target = int(np.where(sizes < most, distance[row], np.inf).argmin())
            labels[row] = target
            sizes[full] -= 1
            sizes[target] += 1
    own: npt.NDArray[np.float64] = distance[np.arange(count), labels]
    for small in np.flatnonzero(sizes < least):
        for row in np.argsort(distance[:, small] - own, kind="stable"):
            if sizes[small] >= least:
                break
            giver = labels[row]
            # A cluster just filled must not be emptied again.
            if giver != small and sizes[giver] > least:
                labels[row] = small
                own[row] = distance[row, small]
                sizes[giver] -= 1
                sizes[small] += 1
    return labels
