"""What freshness is worth: which history and which knowledge a sample of a measured user is shown, way by way.

Measured are the users of the seed-1234 split's validation and test parts whose knowledge was refreshed. Their snapshot
is the first `history_length` events. No row of any way depends on the sample's own rating or on a later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from knowledge.scenario import load_scenario
from ranking.datasets.movielens import MovieLens
from ranking.evaluate.metrics import Floats, Numbers
from ranking.fold import fold_users
from ranking.inputs import side_of
from ranking.sources import Sources
from ranking.split import UserSplit

BINS = ((0, 9), (10, 24), (25, 59), (60, 119), (120, 239), (240, None))  # events between snapshot and sample
DELAYS = {"": 0.0, "_30s": 30.0, "_10min": 600.0, "_1d": 86400.0}  # from a refresh's trigger until it is readable
_STOPPING_SEED = 20261126


class Since(StrEnum):
    """What the input "events since the knowledge" counts."""

    SHOWN = "shown"  # events of the shown history since the shown knowledge, as serving counts them
    ALL = "all"  # all events since the shown knowledge, whether or not the history shows them
    SNAPSHOT = "snapshot"  # all events since the snapshot, whatever knowledge is shown


@dataclass(frozen=True)
class Way:
    """How fresh a sample's inputs are."""

    name: str
    follows: bool = False  # history, statistics, experienced follow every event; else they stay at the snapshot
    delay_s: float | None = None  # the newest refresh that is readable so long after its trigger; None: the snapshot's
    llm: bool = True  # False: of a refresh the user's own anchor values alone, the LLM's answer stays the first
    since: Since = Since.SHOWN
    held: bool = False  # everything as of the beginning of the sample's bin, as if a whole bin were ranked at once


FOUR = ("frozen", "refreshed", "following", "both")
HELD = ("frozen", "refreshed", "following_held", "both_held")  # the first two are constant within a bin as they are
WAYS = (
    Way("frozen"),
    Way("following", follows=True),
    *(Way(f"refreshed{suffix}", delay_s=delay) for suffix, delay in DELAYS.items()),
    *(Way(f"both{suffix}", follows=True, delay_s=delay) for suffix, delay in DELAYS.items()),
    Way("following_held", follows=True, held=True),
    Way("both_held", follows=True, delay_s=0.0, held=True),
    Way("refreshed_own_values", delay_s=0.0, llm=False),
    Way("both_own_values", follows=True, delay_s=0.0, llm=False),
    Way("frozen_counting", since=Since.ALL),
    Way("refreshed_counting", delay_s=0.0, since=Since.ALL),
    Way("both_counting_from_snapshot", follows=True, delay_s=0.0, since=Since.SNAPSHOT),
)


class Shown(NamedTuple):
    """Inputs of one sample in one way; equal ones are computed once."""

    user: int  # number among the measured users
    position: int  # of the sample among the user's events, from 0
    seen: int  # events in history, statistics, experienced
    known: int  # events whose values stand at touched anchors
    said: int  # events that the LLM's answer has seen
    since: int  # events since the knowledge, as the model is told


@dataclass(frozen=True)
class Table:
    """The n samples of the U measured users, in the order of users and time, and the R rows that show them."""

    users: tuple[str, ...]
    user: Numbers  # [n]
    position: Numbers  # [n]
    elapsed: Numbers  # [n] events between the snapshot and the sample
    label: Floats  # [n] 1 = liked
    rows: tuple[Shown, ...]
    ways: dict[str, Numbers]  # [n] row of each sample

    def refreshed(self, way: str) -> Floats:
        """Whether each sample is shown a refresh in this way: [n], 0 or 1."""
        first = self.position - self.elapsed
        known = np.array([row.known for row in self.rows], dtype=np.int64)
        return (known[self.ways[way]] > first).astype(np.float64)


def freshness_split(data: MovieLens) -> UserSplit:
    """The design split with a tenth of its training users for early stopping, so that nothing stops on measured users.

    `test` are the users of its validation and test parts: the measured ones are those of them with refreshes.
    """
    design = fold_users(data, "design")
    order = np.random.default_rng(_STOPPING_SEED).permutation(len(design.train))
    stopping = {design.train[place] for place in order[: len(order) // 10]}
    train = tuple(user for user in design.train if user not in stopping)
    return UserSplit(train, tuple(user for user in design.train if user in stopping), (*design.valid, *design.test))


def readable(records: Sequence[int], times: Sequence[float], position: int, delay_s: float) -> int:
    """Events that the newest record has seen which the sample at `position` may be shown.

    `records`: events seen by each record, ascending, the snapshot's first (always readable). A refresh counts if it
    has seen earlier events only and if the sample comes at least `delay_s` after the last of them: `times` [s].
    """
    for seen in reversed(records[1:]):
        if seen <= position and times[seen - 1] + delay_s <= times[position]:
            return seen
    return records[0]


def freshness_table(sources: Sources, ways: Sequence[Way] = WAYS) -> Table:
    """All samples of the measured users in all `ways`."""
    by_user, store, scenario = sources.data.by_user(), sources.store, load_scenario("films")
    users = tuple(user for user in freshness_split(sources.data).test if store.is_refreshed(user))
    user: list[int] = []
    position: list[int] = []
    elapsed: list[int] = []
    label: list[float] = []
    rows: dict[Shown, int] = {}
    places: dict[str, list[int]] = {way.name: [] for way in ways}
    for number, name in enumerate(users):
        ratings = by_user[name]
        records = [record.source_rev for record in store.refreshes(name)]
        times = [rating.at.timestamp() for rating in ratings]
        for place in range(records[0], len(ratings)):
            user.append(number)
            position.append(place)
            elapsed.append(place - records[0])
            label.append(float(side_of(scenario, ratings[place]) > 0))
            for way in ways:
                row = _shown(way, number, place, records, times)
                places[way.name].append(rows.setdefault(row, len(rows)))
    ordered = sorted(rows)
    new = np.empty(len(rows), dtype=np.int64)
    new[[rows[row] for row in ordered]] = np.arange(len(ordered))
    return Table(
        users,
        np.array(user, dtype=np.int64),
        np.array(position, dtype=np.int64),
        np.array(elapsed, dtype=np.int64),
        np.array(label, dtype=np.float32),
        tuple(ordered),
        {way: new[numbers] for way, numbers in places.items()},
    )


def bin_of(elapsed: Numbers | int) -> Numbers:
    """Number of the bin of each sample, by the events between the snapshot and it."""
    found: Numbers = np.searchsorted([low for low, _ in BINS], elapsed, side="right") - 1
    return found


def _shown(way: Way, user: int, position: int, records: Sequence[int], times: Sequence[float]) -> Shown:
    first = records[0]
    now = first + BINS[int(bin_of(position - first))][0] if way.held else position
    seen = now if way.follows else first
    known = first if way.delay_s is None else readable(records, times, now, way.delay_s)
    since = {Since.SHOWN: max(seen - known, 0), Since.ALL: now - known, Since.SNAPSHOT: now - first}
    return Shown(user, position, seen, known, known if way.llm else first, since[way.since])
