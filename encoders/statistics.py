"""A user's rating statistics: numpy only, because the stream worker has no torch."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

STATISTICS = ("mean_value", "share_liked", "std_value", "log1p_count")


def user_statistics(
    values: Sequence[float] | npt.NDArray[np.floating], polarities: Sequence[str]
) -> npt.NDArray[np.float32]:
    """Statistics of a user's effective entries (see `encoders.history`), in the order of `STATISTICS`.

    `values` f32[n] is the scenario's number of each entry, `polarities` its "liked", "neutral" or "disliked".
    Returns f32[4]; all zero for a user without events (the ranker's mask says that there is no history).
    """
    if len(values) != len(polarities):
        raise ValueError(f"{len(values)} values but {len(polarities)} polarities")
    if len(values) == 0:
        return np.zeros(len(STATISTICS), dtype=np.float32)
    numbers = np.asarray(values, dtype=np.float64)
    liked = sum(1 for polarity in polarities if polarity == "liked")
    return np.array(
        [numbers.mean(), liked / len(numbers), numbers.std(), np.log1p(len(numbers))],
        dtype=np.float32,
    )
