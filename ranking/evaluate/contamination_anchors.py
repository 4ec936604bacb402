"""Does what the LLM says of the anchors agree with the ratings: with films' means, and with users beyond those?

Agreement with means is what anyone has who knows how films are liked; it needs no memory of this data set. Agreement
with a user's own later ratings, beyond films' means and the LLM's own, is what the LLM read from the user's history,
or remembers of the user: then it would be larger for users of whom it had a recollection.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranking.evaluate.bootstrap import Drawn, user_draws
from ranking.evaluate.metrics import Floats
from ranking.sources import Sources

_DIGITS = 5


def agreement_numbers(sources: Sources, groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Correlations with intervals over draws of users.

    `means`: over anchors, the LLM's mean value against the item's mean rating by all users (`pearson`, `spearman`).
    `personal`: over users and anchors rated later, by group: the LLM's value less its mean for the anchor, against the
    rating less the item's mean; with the number of such pairs. `vague_minus_as_active`: the difference of two groups.
    """
    users, said, rated, later = _tables(sources)
    weights = user_draws(len(users), 0)
    ones = np.ones((1, len(users)))
    seen, drawn_means = ((_means(rows, said), _means(rows, rated)) for rows in (ones, weights))
    means = {
        "pearson": Drawn(float(_rows(*seen)[0]), _rows(*drawn_means)),
        "spearman": Drawn(float(_rows(*map(_ranks, seen))[0]), _rows(*map(_ranks, drawn_means))),
    }
    both = ~np.isnan(said) & ~np.isnan(later)
    one = np.where(both, said - np.nanmean(said, axis=0), 0.0)
    other = np.where(both, later - np.nanmean(rated, axis=0), 0.0)
    page: dict[str, Any] = {
        "anchors": int(said.shape[1]),
        "means": {name: _interval(value) for name, value in means.items()},
        "personal": {},
    }
    drawn: dict[str, Drawn] = {}
    for name, ids in groups.items():
        wanted = np.isin(np.array(users), np.array(list(ids)))[:, None] & both
        if wanted.sum() > 1:
            drawn[name] = Drawn(*_pooled(one, other, wanted, ones, weights))
            page["personal"][name] = {"pairs": int(wanted.sum()), "pearson": _interval(drawn[name])}
    if {"vague", "as_active"} <= drawn.keys():
        page["vague_minus_as_active"] = _interval(drawn["vague"].minus(drawn["as_active"]))
    return page


def _tables(sources: Sources) -> tuple[list[str], Floats, Floats, Floats]:
    """Users; by user and anchor the LLM's value, the user's own rating, and that where it came later. NaN = none."""
    anchors = {anchor: place for place, anchor in enumerate(sources.store.catalogue.anchors)}
    known, by_user = sources.store.users(), sources.data.by_user()
    users = [user for user in by_user if user in known]
    said, rated, later = (np.full((len(users), len(anchors)), np.nan) for _ in range(3))
    for row, user in enumerate(users):
        expected = known[user].expectations
        for anchor, value in () if expected is None else expected.anchors.items():
            said[row, anchors[anchor]] = value
        for place, rating in enumerate(by_user[user]):
            if rating.item_id in anchors:
                rated[row, anchors[rating.item_id]] = rating.value
                if place >= known[user].source_rev:
                    later[row, anchors[rating.item_id]] = rating.value
    return users, said, rated, later


def _means(weights: Floats, table: Floats) -> Floats:
    """Weighted means of columns, [D, A]; NaN where a draw has no value."""
    known = ~np.isnan(table)
    total, count = weights @ np.where(known, table, 0.0), weights @ known
    means: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return means


def _rows(one: Floats, other: Floats) -> Floats:
    """Correlation of each row of `one` with that of `other`, over columns that both have."""
    both = ~np.isnan(one) & ~np.isnan(other)
    count = np.maximum(both.sum(1), 1)

    def centred(table: Floats) -> Floats:
        kept = np.where(both, table, 0.0)
        middle: Floats = (kept - kept.sum(1, keepdims=True) / count[:, None]) * both
        return middle

    return _correlation(centred(one), centred(other))


def _correlation(one: Floats, other: Floats) -> Floats:
    power = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    found: Floats = np.divide((one * other).sum(1), power, out=np.full(len(one), np.nan), where=power > 0)
    return found


def _pooled(
    one: Floats, other: Floats, wanted: npt.NDArray[np.bool_], ones: Floats, weights: Floats
) -> tuple[float, Floats]:
    """Correlation over all wanted pairs, as observed and in every draw, from each user's sums."""
    parts = [wanted * 1.0, one, other, one**2, other**2, one * other]
    sums = np.stack([np.where(wanted, part, 0.0).sum(1) for part in parts], axis=1)

    def of(w: Floats) -> Floats:
        count, x, y, xx, yy, xy = (w @ sums).T
        count = np.maximum(count, 1.0)
        power = np.sqrt(np.maximum((xx - x * x / count) * (yy - y * y / count), 0.0))
        found: Floats = np.divide(xy - x * y / count, power, out=np.full(len(w), np.nan), where=power > 0)
        return found

    return float(of(ones)[0]), of(weights)


def _ranks(table: Floats) -> Floats:
    """Ranks within each row, tied values sharing theirs; NaN stays."""
    ranks = np.full(table.shape, np.nan)
    for place, row in enumerate(table):
        known = ~np.isnan(row)
        _, group, size = np.unique(row[known], return_inverse=True, return_counts=True)
        ranks[place, known] = (np.cumsum(size) - (size - 1) / 2.0)[group]
    return ranks


def _interval(value: Drawn) -> list[float]:
    return [round(number, _DIGITS) for number in value.interval()]
