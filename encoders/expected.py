"""The *expected* tier: an LLM's expectations of a user as vectors and anchor values. numpy only."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]


class ExpectationsLike(Protocol):
    """The part of `knowledge.base.Expectations` that is read here."""

    @property
    def likes(self) -> Sequence[str]:
        """Items that the user would love."""
        ...

    @property
    def dislikes(self) -> Sequence[str]:
        """Items that the user would not like."""
        ...

    @property
    def anchors(self) -> Mapping[str, float]:
        """Expected value for each anchor item."""
        ...

    @property
    def weights(self) -> Mapping[str, float]:
        """How much a like or dislike counts; 1 for one that is not in it."""
        ...


def expected(
    expectations: ExpectationsLike | None,
    own_values: Mapping[str, float],
    vectors: Mapping[str, Vector],
    anchors: Sequence[str],
    shape: tuple[int, int] = (9, 16),
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Expected likes and dislikes in item-knowledge space, and a value per anchor.

    `own_values` are the user's own newest values as of the knowledge (its first `source_rev` events): an expected
    item that the user had touched does not count, and an anchor that the user had touched carries that own value.
    `vectors` maps item ids to f32[F, d], `anchors` are the release's anchor ids in order, `shape` = (F, d).
    Returns (f32[2, F, d] means over expected likes and dislikes, weighted, zeros where none is known;
    f32[A] anchor values on the scenario's scale, 0 = unknown).
    """
    means = np.zeros((2, *shape), dtype=np.float32)
    values = np.zeros(len(anchors), dtype=np.float32)
    expected_values: Mapping[str, float] = {} if expectations is None else expectations.anchors
    for position, anchor in enumerate(anchors):
        own = own_values.get(anchor)
        values[position] = expected_values.get(anchor, 0.0) if own is None else own
    if expectations is not None:
        weights = expectations.weights
        means[0] = _mean((i for i in expectations.likes if i not in own_values), weights, vectors, shape)
        means[1] = _mean((i for i in expectations.dislikes if i not in own_values), weights, vectors, shape)
    return means, values


def _mean(
    items: Iterable[str], weights: Mapping[str, float], vectors: Mapping[str, Vector], shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    known = [item for item in items if item in vectors]
    if not known:
        return np.zeros(shape, dtype=np.float32)
    table = np.stack([vectors[item] for item in known]).reshape(len(known), *shape)
    if not weights:  # apart, so that unweighted knowledge keeps its vectors to the last bit
        mean: npt.NDArray[np.float32] = np.mean(table, axis=0, dtype=np.float32)
        return mean
    shares = np.array([weights.get(item, 1.0) for item in known], dtype=np.float32)
    weighted: npt.NDArray[np.float32] = np.tensordot(shares / shares.sum(), table, axes=1).astype(np.float32)
    return weighted
