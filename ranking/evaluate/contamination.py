"""Did the LLM know, or recollect? What it expected of users against what they did later, without any ranker.

The LLM saw titles and each user's earliest ratings. A user's lists are compared with items of the shortlist that the
user had not touched then: the most popular ones, those of the highest (lowest) mean, another user's list, and for each
named item the films that are as popular as it. Counts and means are of the training users of the user's own fold.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranking.datasets.movielens import MovieLens
from ranking.evaluate.bootstrap import Drawn, drawn_means
from ranking.evaluate.contamination_anchors import agreement_numbers
from ranking.fold import FOLDS, fold_users
from ranking.sources import Sources

# Users of whom the writer reported a vague recollection, and those whose *refreshes* were not written quite blindly:
# knowledge/data/ml-100k/README.md.
VAGUE = (
    *("1", "92", "181", "194", "234", "303", "334", "363", "393", "405", "409", "416", "435", "497", "498", "532"),
    *("537", "551", "588", "618", "655", "666", "727", "749", "758", "774", "796", "826", "846", "868", "871", "889"),
    "943",
)
GLIMPSED = ("2", "11", "42", "5", "15", "16")
LIKED = 3.0  # a value above it is a like
_MATCHED = 10  # films as popular as a named one
_AS_ACTIVE = 4  # users as active as one of whom there was a recollection
_SHRINK = 5.0  # ratings of the overall mean that each item's mean is shrunk by: else one rating of 5 is the best film
_DIGITS = 5

KINDS = ("likes", "dislikes")
SOURCES = ("expected", "as_popular", "popular", "by_mean", "another_user")


@dataclass(frozen=True)
class Listed:
    """What each list named: one entry per named item, and one without an item for each user."""

    user: npt.NDArray[np.int64]
    rated: npt.NDArray[np.float64]  # 1 = rated later, NaN = no item
    true: npt.NDArray[np.float64]  # 1 = came true, 0 = the opposite, NaN = not rated later


@dataclass(frozen=True)
class _User:
    """What was known of a user when the LLM answered, and what came after."""

    user_id: str
    likes: tuple[str, ...]
    dislikes: tuple[str, ...]
    touched: frozenset[str]
    mean: float  # of the first ratings
    later: Mapping[str, float]


def contamination(sources: Sources) -> dict[str, Any]:
    """The numbers of `contamination.json`. Intervals are [low, observed, high] at 95 %, over draws of users."""
    users = list(_users(sources))
    groups = _groups(users)
    lists = listed(sources, users)
    page: dict[str, Any] = {"users": {name: len(ids) for name, ids in groups.items()}}
    later = [value > LIKED for user in users for value in user.later.values()]
    page["later_ratings"] = {"count": len(later), "share_liked": round(float(np.mean(later)), _DIGITS)}
    places = {user.user_id: place for place, user in enumerate(users)}
    for kind in KINDS:
        page[kind] = {}
        for group, ids in groups.items():
            wanted = np.isin(np.arange(len(users)), [places[user] for user in ids])
            page[kind][group] = _summary({name: lists[kind, name] for name in SOURCES}, wanted)
    page["agreement"] = agreement_numbers(sources, groups)
    return page


def _groups(users: Sequence[_User]) -> dict[str, list[str]]:
    """Users by what the README says of them; beside those of whom there was a recollection others who rate as much."""
    every = [user.user_id for user in users]
    others = [user for user in every if user not in {*VAGUE, *GLIMPSED}]
    later = {user.user_id: len(user.later) for user in users}
    active: list[str] = []
    for user in (user for user in VAGUE if user in later):
        rest = [other for other in others if other not in active]
        active += sorted(rest, key=lambda other: abs(later[other] - later[user]))[:_AS_ACTIVE]
    groups = {"all": every, "vague": VAGUE, "as_active": active, "glimpsed": GLIMPSED, "others": others}
    made = {name: [user for user in ids if user in later] for name, ids in groups.items()}
    return {name: ids for name, ids in made.items() if ids}


def listed(sources: Sources, users: Sequence[Any] | None = None) -> dict[tuple[str, str], Listed]:
    """For likes and dislikes what each of `SOURCES` named, as long as the LLM's own list of the user."""
    known = list(_users(sources)) if users is None else list(users)
    shortlist = sources.store.catalogue.shortlist
    tables = {fold: _popularity(sources.data, fold_users(sources.data, fold).train) for fold in range(FOLDS)}
    fold_of = {user: fold for fold in range(FOLDS) for user in fold_users(sources.data, fold).test}
    entries: dict[tuple[str, str], list[tuple[int, float, float]]] = {
        (kind, name): [(place, np.nan, np.nan) for place in range(len(known))] for kind in KINDS for name in SOURCES
    }
    others = {fold: [u for u in known if fold_of[u.user_id] == fold] for fold in range(FOLDS)}
    for place, user in enumerate(known):
        fold = fold_of[user.user_id]
        count, mean = tables[fold]
        free = [item for item in shortlist if item not in user.touched]
        other = _nearest(user, others[fold])
        for kind in KINDS:
            named = user.likes if kind == "likes" else user.dislikes
            most, sign = len(named), 1.0 if kind == "likes" else -1.0
            theirs = other.likes if kind == "likes" else other.dislikes
            chosen = {
                "expected": named,
                "as_popular": _as_popular(named, free, count),
                "popular": sorted(free, key=lambda item: -count.get(item, 0))[:most],
                "by_mean": sorted(free, key=lambda item: -sign * mean.get(item, 0.0))[:most],
                "another_user": [item for item in theirs if item not in user.touched],
            }
            for name, items in chosen.items():
                for item in items:
                    value = user.later.get(item)
                    true = np.nan if value is None else float((value > LIKED) == (kind == "likes"))
                    entries[kind, name].append((place, float(value is not None), true))
    made = {}
    for key, rows in entries.items():
        place_of, rated, true_of = (np.array(column) for column in zip(*rows, strict=True))
        made[key] = Listed(place_of.astype(np.int64), rated, true_of)
    return made


def _users(sources: Sources) -> Iterator[_User]:
    known = sources.store.users()
    for user, ratings in sources.data.by_user().items():
        record = known.get(user)
        if record is None or record.expectations is None:
            continue
        first, rest = ratings[: record.source_rev], ratings[record.source_rev :]
        yield _User(
            user,
            record.expectations.likes,
            record.expectations.dislikes,
            frozenset(rating.item_id for rating in first),
            float(np.mean([rating.value for rating in first])),
            {rating.item_id: rating.value for rating in rest},
        )


def _popularity(data: MovieLens, training: Sequence[str]) -> tuple[dict[str, int], dict[str, float]]:
    """Each item's number of ratings, and its mean (shrunk) less the overall mean, by training users."""
    users = set(training)
    values: dict[str, list[float]] = {}
    for rating in data.ratings:
        if rating.user_id in users:
            values.setdefault(rating.item_id, []).append(rating.value)
    overall = float(np.mean([value for own in values.values() for value in own]))
    means = {item: float(np.sum(np.array(own) - overall) / (len(own) + _SHRINK)) for item, own in values.items()}
    return {item: len(own) for item, own in values.items()}, means


def _as_popular(named: Sequence[str], free: Sequence[str], count: Mapping[str, int]) -> list[str]:
    """For each named item the `_MATCHED` untouched, not named ones that are nearest in number of ratings."""
    rest = [item for item in free if item not in named]
    counts = np.array([count.get(item, 0) for item in rest])
    found = []
    for item in named:
        nearest = np.argsort(np.abs(counts - count.get(item, 0)), kind="stable")[:_MATCHED]
        found += [rest[place] for place in nearest]
    return found


def _nearest(user: _User, others: Sequence[_User]) -> _User:
    rest = [other for other in others if other.user_id != user.user_id] or [user]
    return min(rest, key=lambda other: abs(other.mean - user.mean))


def _summary(lists: Mapping[str, Listed], wanted: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Per source: how much was named, rated later and came true; and what the LLM is better by. Of `wanted` users."""
    drawn: dict[str, tuple[Drawn, Drawn]] = {}
    rows: dict[str, Any] = {}
    for name, one in lists.items():
        of = wanted[one.user]
        # Everybody is drawn, so that all groups and sources share their draws; who is not wanted has no value.
        rated, true = (np.where(of, values, np.nan) for values in (one.rated, one.true))
        drawn[name] = drawn_means([(one.user, rated)]), drawn_means([(one.user, true)])
        rows[name] = {
            "named": int((~np.isnan(rated)).sum()),
            "rated": int(np.nansum(rated)),
            "share_rated": _interval(drawn[name][0]),
            "precision": _interval(drawn[name][1]),
        }
        if name != "expected":
            minus = [mine.minus(theirs) for mine, theirs in zip(drawn["expected"], drawn[name], strict=True)]
            rows[name]["expected_minus"] = {"share_rated": _interval(minus[0]), "precision": _interval(minus[1])}
    return rows


def _interval(value: Drawn) -> list[float | None]:
    return [None if np.isnan(number) else round(number, _DIGITS) for number in value.interval()]
