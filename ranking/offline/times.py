"""Event times for old logs, whose clock is coarser than the order of their events.

Three of four ratings of MovieLens share their second with another one of the same user. An event gets the time that a
live write would have got, `max(its time, the last one's + 1 µs)`: the k-th event of a user within one second, counted
from 0, gets +k µs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from ranking.datasets.movielens import Rating

_TICK = timedelta(microseconds=1)


def readable_times(ratings: Sequence[Rating], delay: timedelta = timedelta(0)) -> list[datetime]:
    """When the rows that follow from each event became readable: its allotted time, `delay` later.

    `ratings` are one user's, in order. Strictly increasing.
    """
    times: list[datetime] = []
    for rating in ratings:
        at = rating.at + delay
        times.append(max(at, times[-1] + _TICK) if times else at)
    return times


def asking_times(ratings: Sequence[Rating], page_blind: bool = False) -> list[datetime]:
    """When each event, as a sample, asks for its features: 1 µs before its own allotted time.

    Feast's join is `<=`, so that at its own time an event would find the row that holds its label. `page_blind`: 1 µs
    before its second, so that it sees events of earlier seconds only.
    """
    own = [rating.at for rating in ratings] if page_blind else readable_times(ratings)
    return [at - _TICK for at in own]
