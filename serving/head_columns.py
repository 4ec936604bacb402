"""The matching head of a release like `ours` on a CPU, one request at a time, in numpy: `MatchingHead.forward`.

torch spends most of so small a problem on the way into some 250 operations. This makes the same numbers (a test holds
both together) in a third of the operations, on tables that are put side by side once. Groups, formulas and names are
those of `ranking.head`: N candidates, H history entries, A anchors, F factors, d numbers each.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ranking.head import COLLABORATIVE_TAU, TAU, MatchingHead, widths
from ranking.shape import RankerShape
from serving.head_matching import lengths, smoothed, squares, unit
from serving.head_regression import EXPECTED_SURPRISE, GUESSES, SHARED, TOLD, Regression

Floats = npt.NDArray[np.float32]
One = Mapping[str, Any]  # the tensors of one request, without the leading dimension of 1

# The groups that a head must have, all of them: they share what is computed.
GROUPS = frozenset(
    {
        *("statistics", "since", "items", "collaborative", "experienced_mean", "neighbourhood_mean", "expected"),
        *("anchors_level", "anchors_knowledge", "anchors_collaborative", "anchors_itself"),
        *GUESSES,
    }
)
# What is weighed by likeness, in this order: own values and anchors, by texts and by training users.
_KERNELS = ("neighbourhood_mean", "anchors_knowledge", "collaborative", "anchors_collaborative")
_SIDES = 4  # experienced and expected, liked and disliked
_CLAMP = np.float32(5.0)
_ITEM, _ID = 4, 5  # rows of `MatchingHead.needed`; the ones before are the places in user_mask
_ALONE = ("user_stats", "user_experienced", "user_expected", "user_anchors", "hist_vec", "item_vec")
_READ = (*_ALONE, "user_mask", "hist_index", "hist_value", "item_index", "item_mask")


class HeadColumns:
    """Made once for a release; what all its requests share is worked out here."""

    ALONE = frozenset(_ALONE)  # tensors that nothing in a ranker reads but its head

    def __init__(self, head: MatchingHead, shape: RankerShape, history: int) -> None:
        """`history` is H. Raises ValueError for a head that has other groups than `GROUPS`."""
        if set(head.groups) != GROUPS:
            raise ValueError("this head has other groups")
        table = {name: buffer.numpy() for name, buffer in head.named_buffers()}
        self._shape, self._history, self.width = shape, history, head.width
        self._wide = max(history, shape.anchors)  # what each kernel weighs, filled up to the same width

        # One look-up finds all of an item: its vector, taste, likenesses to anchors, usual surprise and count, length.
        likeness = np.zeros((shape.vocabulary, self._wide), np.float32)
        likeness[:, : shape.anchors] = table["anchor_likeness"] / COLLABORATIVE_TAU
        vectors = table["collaborative"]
        beside = [vectors, table["taste"], likeness, table["items"], lengths(vectors)[:, None]]
        self._items: Floats = np.concatenate(beside, axis=1)
        self._vector, self._taste, self._likeness, self._usual, self._length = _side_by_side(
            [part.shape[1] for part in beside]
        )

        index, anchor_vec = table["anchor_index"], table["anchor_vec"].reshape(shape.anchors, -1)
        self._anchor_means, self._told_taste = table["anchor_means"], table["told_taste"]
        self._anchor = np.full(shape.vocabulary, shape.anchors)  # which anchor an item is; A = none
        self._anchor[index[index > 1]] = np.flatnonzero(index > 1)
        anchor_taste = table["taste"][np.maximum(index, 0)]
        self._regression = Regression(anchor_vec, anchor_taste, shape.factors, history)
        # What candidates' vectors are multiplied with; of a request come the history (first) and the sides (last).
        self._near = np.zeros((2 * self._wide + _SIDES * shape.factors, anchor_vec.shape[1]), np.float32)
        self._near[self._wide : self._wide + shape.anchors] = anchor_vec / (shape.factors * TAU)
        # From cosines per side and factor to the mean over factors of those with the experienced sides.
        mean = np.zeros((_SIDES, shape.factors, 2), np.float32)
        mean[0, :, 0] = mean[1, :, 1] = 1 / shape.factors
        self._experienced: Floats = mean.reshape(-1, 2)

        width = widths(shape.factors, shape.statistics)
        self._place = dict(zip(head.groups, _side_by_side([width[name] for name in head.groups]), strict=True))
        self._mean, self._scale = table["mean"], table["scale"]
        self._of_user = table["needed"][:_ITEM]
        self._of_item, self._of_id = (np.flatnonzero(table["needed"][row]) for row in (_ITEM, _ID))

    def __call__(self, request: Mapping[str, Any]) -> Floats:
        """f32[N, width] from the tensors of one request, each with a leading dimension of 1."""
        one = {name: request[name][0] for name in _READ}
        out = np.empty((len(one["item_index"]), self.width), np.float32)
        columns, masks = out[:, : -_ITEM - 1], out[:, -_ITEM - 1 :]
        self._fill(one, columns)
        columns -= self._mean
        columns /= self._scale
        np.minimum(np.maximum(columns, -_CLAMP, out=columns), _CLAMP, out=columns)
        user, item, known = one["user_mask"], one["item_mask"], one["item_index"] > 1
        if not user.all():
            columns[:, (user == 0) @ self._of_user > 0] = 0
        if not item.all():
            columns[np.ix_(item == 0, self._of_item)] = 0
        if not known.all():
            columns[np.ix_(~known, self._of_id)] = 0
        masks[:, :-1], masks[:, -1] = user, item
        return out

    def _fill(self, one: One, out: Floats) -> None:
        """Raw columns, `MatchingHead.features`."""
        history, place = self._history, self._place
        rows = self._items[np.concatenate([one["hist_index"], one["item_index"]])]
        seen, candidate = rows[:history], rows[history:]
        vec, present, value = one["hist_vec"].reshape(history, -1), one["hist_index"] > 0, one["hist_value"]
        said = one["user_anchors"] > 0
        above = (one["user_anchors"] - self._anchor_means) * said
        products = one["item_vec"].reshape(len(out), -1) @ self._multiplied(vec, one).T

        with_vec, with_vector = present & (squares(vec) > 0), present & (seen[:, self._vector].any(1))
        self._agreements(one, products[:, 2 * self._wide :], out)
        liked = value > self._shape.middle
        sides = np.array([liked & with_vector, ~liked & with_vector], np.float32) @ seen[:, self._vector]
        cosines = candidate[:, self._vector] @ unit(sides).T
        out[:, place["collaborative"]][:, :2] = cosines / candidate[:, self._length]

        level = above @ said.astype(np.float32) / max(np.count_nonzero(said), 1)
        centred = (above - level) * said
        surprise = value - value @ present.astype(np.float32) / max(np.count_nonzero(present), 1)
        smooth = smoothed(
            self._likeness_to(products, seen, candidate),
            (with_vec, said, with_vector, said),
            (surprise, centred, surprise, centred),
        )
        for number, name in enumerate(_KERNELS):
            out[:, place[name]][:, -2:] = smooth[:, :, number].T
        itself = np.zeros(len(centred) + 1, np.float32)
        itself[:-1] = centred
        out[:, place["anchors_itself"]] = itself[self._anchor[one["item_index"]], None]
        out[:, place["anchors_level"]] = level

        self._guesses(one, seen, candidate, above, out)
        out[:, place["items"]] = candidate[:, self._usual]
        out[:, place["statistics"]], out[:, place["since"]] = one["user_stats"][:-1], one["user_stats"][-1]

    def _multiplied(self, vec: Floats, one: One) -> Floats:
        """Rows [2 * wide + 4 * F, F * d]: history and anchors at their temperature, and each factor of each side."""
        factors, dim = self._shape.factors, self._shape.dim
        near, each = self._near.copy(), np.arange(factors)
        np.multiply(vec, np.float32(2 / (factors * TAU)), out=near[: len(vec)])
        sides = unit(np.concatenate([one["user_experienced"], one["user_expected"]]))
        near[2 * self._wide :].reshape(_SIDES, factors, factors, dim)[:, each, each] = sides
        return near

    def _agreements(self, one: One, products: Floats, out: Floats) -> None:
        """Cosines with what was experienced and with what is expected, from products with each factor of each side."""
        cosines = products.reshape(len(out), _SIDES, -1) / lengths(one["item_vec"])[:, None]
        out[:, self._place["experienced_mean"]] = cosines.reshape(len(out), -1) @ self._experienced
        out[:, self._place["expected"]] = cosines[:, 2:].reshape(len(out), -1)

    def _likeness_to(self, products: Floats, seen: Floats, candidate: Floats) -> Floats:
        """Likenesses [N, kernels, wide] of `_KERNELS`."""
        likeness = np.empty((len(candidate), len(_KERNELS), self._wide), np.float32)
        likeness[:, :2] = products[:, : 2 * self._wide].reshape(len(candidate), 2, -1)
        near = seen[:, self._vector] * np.float32(1 / COLLABORATIVE_TAU)
        np.matmul(candidate[:, self._vector], near.T, out=likeness[:, 2, : self._history])
        likeness[:, 2, self._history :] = 0
        likeness[:, 3] = candidate[:, self._likeness]
        return likeness

    def _guesses(self, one: One, seen: Floats, candidate: Floats, above: Floats, out: Floats) -> None:
        """The regressions' columns; `above` are anchor values above the usual."""
        vec, means = one["hist_vec"].reshape(len(seen), -1), one["user_expected"].reshape(2, -1)
        usual = seen[:, self._usual][:, 0]
        number, told, shared = self._regression.solve(
            np.concatenate([one["hist_value"] - self._shape.middle - usual, EXPECTED_SURPRISE, above]),
            np.concatenate([one["hist_index"] > 0, squares(means) > 0, one["user_anchors"] > 0]),
            np.concatenate([vec, means]),
            np.concatenate([seen[:, self._taste], means @ self._told_taste]),
        )
        guess = np.empty((len(out), len(GUESSES)), np.float32)
        guess[:] = number
        guess[:, TOLD] += one["item_vec"].reshape(len(out), -1) @ told.T
        guess[:, SHARED] += candidate[:, self._taste] @ shared.T
        for place, name in enumerate(GUESSES):
            out[:, self._place[name]] = guess[:, place : place + 1]


def _side_by_side(widths: list[int]) -> list[slice]:
    """Where parts of these widths lie, one behind the other."""
    ends = np.cumsum(widths).tolist()
    return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]
