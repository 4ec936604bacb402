"""Session events: what a caller knows of a user and the topic does not yet. numpy only: this runs inside Triton."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from serving.reader import UserRow

Floats = npt.NDArray[np.float32]

_MOST_LOG_COUNT = math.log1p(2**31)  # no user has more events: revisions are 32-bit in the answer


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

    Nothing is subtracted that was never added: statistics that are missing, damaged or do not hold the stored history
    are taken from that history instead, and so are the sums that were stored with them.
    """
    newest: dict[bytes, float] = {}
    for event in recent:
        newest.setdefault(event.item_id, event.value)
    old = dict(zip(user.history, user.history_values.tolist(), strict=True))
    moments = np.sum([_moments(opinion, liked_above) for opinion in old.values()], axis=0) + np.zeros(4)
    earlier = _earlier(user.stats, moments)
    sums = np.zeros((2, len(vector(b""))), np.float32)
    if earlier is not None and user.experienced is not None:
        sums += user.experienced.reshape(sums.shape)
    else:
        for item_id, opinion in reversed(old.items()):  # oldest first, the order of encoders.experienced
            sums[_side(opinion, liked_above)] += vector(item_id)
    if earlier is not None:
        moments += earlier
    for item_id, value in newest.items():
        for sign, known in ((1, value), (-1, old.get(item_id))):
            if known is not None:
                sums[_side(known, liked_above)] += sign * vector(item_id)
                moments += sign * _moments(known, liked_above)
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


def _side(opinion: float, liked_above: float) -> int:
    """Row of the sums: 0 = liked, 1 = disliked."""
    return 0 if opinion > liked_above else 1


def _moments(opinion: float, liked_above: float) -> npt.NDArray[np.float64]:
    """Count, sum, sum of squares and number of liked of one opinion."""
    return np.array([1.0, opinion, opinion * opinion, opinion > liked_above])


def _earlier(stats: Floats | None, kept: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Moments of what the stored statistics (encoders.statistics) count beside the stored history, f64[4].

    `kept` are the moments of that history. None where the statistics are missing or cannot be of a user with that
    history, as after a damaged write.
    """
    if stats is None or not np.isfinite(stats).all():
        return None
    mean, share, spread, log_count = stats.tolist()
    if not (0 <= log_count <= _MOST_LOG_COUNT and 0 <= share <= 1):
        return None
    count = round(math.expm1(log_count))
    rest = np.array([count, mean * count, (spread * spread + mean * mean) * count, round(share * count)]) - kept
    number, _, _, liked = rest.tolist()
    if not 0 <= liked <= number:
        return None
    return rest if number else np.zeros(4)  # float32 statistics of the history alone would add their rounding
