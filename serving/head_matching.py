"""`ranking.matching` for one user in numpy: lengths, and values smoothed by likeness. This runs inside Triton."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

# Up to here a likeness needs no softmax's care: its exponential and the cube of that are floats. A release's vectors,
# which have length 1, never get further (2 / TAU); others may.
_SAFE = 25.0
_FAR, _TINY, _LEAST = np.float32(-1e30), np.float32(1e-12), np.float32(1e-37)


def smoothed(likeness: Floats, known: Sequence[Bools], value: Sequence[Floats]) -> Floats:
    """`matching.smoothed` of P kernels at once: f32[2, N, P], the sharper ones (`matching.SHARPER`: cubes) first.

    `likeness` f32[N, P, K] is overwritten; of each kernel `known` and `value` [at most K] are what may be weighed. A
    kernel's weighted values and its weights are summed by one product for all of them.
    """
    count, kernels, wide = likeness.shape
    sums = np.zeros((kernels, wide, 2 * kernels), np.float32)  # columns: of values, of weights
    for number, (own, told) in enumerate(zip(known, value, strict=True)):
        sums[number, : len(own), number] = told * own
        sums[number, : len(own), kernels + number] = own
    if max(likeness.max(), -likeness.min()) > _SAFE:
        shown = np.stack([sums[number, :, kernels + number] > 0 for number in range(kernels)])
        np.copyto(likeness, _FAR, where=~shown)
        likeness -= likeness.max(-1, keepdims=True)
    weight = np.exp(likeness, out=likeness).reshape(count, -1)
    both: Floats = np.empty((2, count, 2 * kernels), np.float32)
    flat = sums.reshape(kernels * wide, -1)
    np.matmul(weight, flat, out=both[1])
    np.matmul(weight * weight * weight, flat, out=both[0])
    values, weights = both[..., :kernels], both[..., kernels:]
    values /= np.maximum(weights, _LEAST)  # 0 where everything is hidden
    return values


def squares(vec: Floats) -> Floats:
    """Squared lengths of [..., k]."""
    found: Floats = np.einsum("...k,...k->...", vec, vec)
    return found


def lengths(vec: Floats) -> Floats:
    """Lengths of [..., k], never quite 0: what is 0 is divided by them."""
    found: Floats = np.maximum(np.sqrt(squares(vec)), _TINY)
    return found


def unit(vec: Floats) -> Floats:
    """Vectors [..., k] of length 1; zeros stay zeros."""
    found: Floats = vec / lengths(vec)[..., None]
    return found
