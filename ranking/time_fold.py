"""The fold "time": one cut through everybody's ratings, as if all were fitted on one day and used from then on.

Samples before t1 train (70 %), those from t1 to t2 validate (10 %), those from t2 on test (20 %). What is fitted sees
ratings before t1 alone, and knowledge of those users alone whose first `history_length` events all came before t1. As
in the other folds nobody's own ratings are in the tables that they are compared with (five parts, over all users). A
sample's inputs are what they are elsewhere: the user's own earlier events, after t1 too, and the frozen knowledge of
their first events, which come before all of their samples.

It asks whether what was fitted earlier holds later: for later users, films that came meanwhile, other habits. It hardly
asks how well one user is followed over months: most users of MovieLens-100K rate on a single day, so most who are
tested are new (`reki evaluate ctr` counts them). What is not cut by time: where t1 and t2 lie and how many of a
user's events are history are counted over all ratings; texts of items, anchors and shortlist are those of all folds.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from knowledge.base import TerminalError
from ranking.fold_parts import FoldParts
from ranking.inputs import Samples
from ranking.sources import Sources
from ranking.split import history_length

Floats = npt.NDArray[np.float64]
TRAINING, VALIDATION = 0.7, 0.1  # shares of the samples


def time_parts(sources: Sources, samples: Samples) -> FoldParts:
    """The parts of `samples`, which are all those of `sources`.

    Raises `TerminalError` (`bad_data`) if a part is empty, as where all ratings have one time.
    """
    times = sample_times(sources, samples)
    first, second = cuts(times)
    parts = times < first, (times >= first) & (times < second), times >= second
    if not all(part.any() for part in parts):
        raise TerminalError("bad_data", "the ratings cannot be cut by time: too few of them, or too many at one time")
    by_user = sources.data.by_user()
    told = tuple(
        user for user in samples.users if by_user[user][history_length(len(by_user[user])) - 1].at.timestamp() < first
    )
    earlier = tuple(rating for rating in sources.data.ratings if rating.at.timestamp() < first)
    return FoldParts(
        replace(sources, data=replace(sources.data, ratings=earlier)),
        tuple(by_user),
        (),
        told,
        (told, tuple(user for user in samples.users if user not in set(told))),
        *(np.flatnonzero(part) for part in parts),
    )


def sample_times(sources: Sources, samples: Samples) -> Floats:
    """When each sample happened, f64[n] in seconds since 1970."""
    by_user = sources.data.by_user()
    targets = (by_user[user][history_length(len(by_user[user])) :] for user in samples.users)
    return np.array([rating.at.timestamp() for own in targets for rating in own])


def cuts(times: Floats) -> tuple[float, float]:
    """t1 and t2, in seconds since 1970; samples of one second are never parted."""
    ordered = np.sort(times)
    places = [int(share * len(ordered)) for share in (TRAINING, TRAINING + VALIDATION)]
    first, second = ordered[places] if len(ordered) else (0.0, 0.0)
    return float(first), float(second)
