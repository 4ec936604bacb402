"""Session events: what a caller knows of a user and the topic does not yet. numpy only: this runs inside Triton."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from serving.reader import UserRow

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recent:
    """One session event; `value` is a rating on the scenario's scale."""

    item_id: bytes
    value: float


def with_session(
    user: UserRow,
    recent: Sequence[Recent],
    vector: Callable[[bytes], Floats],
    liked_above: float,
    history: int,
    usable: bool,
) -> UserRow:
    """`user` as if `recent` (newest first) had been applied already, in this answer alone.

    History, statistics and, where the stored sums are `usable` (same release), the experienced sums follow; the newest
    opinion on an item counts. `vector` gives an item's f32[F * d], zeros where it has none. An item that the user had
    touched before the `history` newest ones is counted twice in sums and statistics, for the store does not tell.
    """
    newest: dict[bytes, float] = {}
    for event in recent:
        newest.setdefault(event.item_id, event.value)
    old = dict(zip(user.history, user.history_values.tolist(), strict=True))
    moments = _moments(user.stats)
    sums = np.zeros((2, len(vector(b""))), np.float32)
    if user.experienced is not None:
        sums += user.experienced.reshape(sums.shape)
    for item_id, value in newest.items():
        for sign, opinion in ((1, value), (-1, old.get(item_id))):
            if opinion is not None:
                likes = opinion > liked_above
                sums[0 if likes else 1] += sign * vector(item_id)
                moments += sign * np.array([1.0, opinion, opinion * opinion, likes])
    rest = [(item_id, value) for item_id, value in old.items() if item_id not in newest]
    merged = [*newest.items(), *rest][:history]
    count, total, squares, liked = moments.tolist()
    mean = total / count
    spread = math.sqrt(max(squares / count - mean * mean, 0.0))
    return replace(
        user,
        history=[item_id for item_id, _ in merged],
        history_values=np.array([value for _, value in merged], np.float32),
        rev=user.rev + len(recent),
        experienced=sums.reshape(-1) if usable else user.experienced,
        stats=np.array([mean, liked / count, spread, math.log1p(count)], np.float32),
    )


def _moments(stats: Floats | None) -> npt.NDArray[np.float64]:
    """Count, sum, sum of squares and number of liked, from the stored statistics (encoders.statistics)."""
    if stats is None:
        return np.zeros(4)
    mean, share, spread, log_count = stats.tolist()
    return np.array([1.0, mean, spread * spread + mean * mean, share]) * round(math.expm1(log_count))
