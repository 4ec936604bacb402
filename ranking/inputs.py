"""Training rows: for each sample what the ranker could have read just before it, built for all samples at once.

The same numbers as serving's functions give (`encoders.history`, `.statistics`, `.experienced`, `.expected`); a test
compares them. A sample's own label enters none of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from encoders.expected import expected
from knowledge.base import Action, Knowledge, Polarity, TerminalError
from knowledge.scenario import Scenario
from ranking.datasets.movielens import MovieLens, Rating
from ranking.ring import Ring, rings, seen_before
from ranking.split import history_length

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Space:
    """Prestored vectors of all items and users, by row; row 0 of the items is padding (zeros)."""

    item_vec: Tensor  # f32[R, F, d]
    item_summary: Tensor  # f32[R, 32]
    user_summary: Tensor  # f32[U, 32]


@dataclass(frozen=True)
class Samples:
    """Inputs of n samples of U users over R item rows (row 0 = padding), in the order of users and time."""

    users: tuple[str, ...]
    items: tuple[str, ...]  # of rows 1 to R - 1
    user: Ints  # [n] row of the user
    item: Ints  # [n] row of the candidate
    label: Floats  # [n] 1 = liked
    since: Ints  # [n] events since the frozen knowledge
    ring: Ring  # of the n samples
    likes: Floats  # [U, 2, R] weights of expected likes and dislikes; each adds up to 1, or 0 if none is known
    anchors: Floats  # [U, A]
    told: npt.NDArray[np.bool_]  # [n] the knowledge may be used: all it has seen comes before the sample

    def __len__(self) -> int:
        return len(self.user)

    def of(self, users: Sequence[str]) -> Ints:
        """Numbers of the samples of these users, in order."""
        rows = {user: row for row, user in enumerate(self.users)}
        wanted = np.array([rows[user] for user in users if user in rows], dtype=np.int64)
        return np.flatnonzero(np.isin(self.user, wanted))

    def batch(self, numbers: Ints, space: Space, index: Tensor, history: int) -> dict[str, Tensor]:
        """The ranker's tensors for these samples, B users x 1 candidate, nothing masked but padding.

        `index` i32[R] maps an item row to its vocabulary index; `history` = H.
        """
        user = torch.from_numpy(self.user[numbers])
        batch = self.ids(numbers, index, history)
        rows = torch.from_numpy(self.item[numbers])
        flat = space.item_vec.flatten(1)
        shape = (len(numbers), 2, *space.item_vec.shape[1:])
        batch["user_experienced"] = (self._experienced(numbers) @ flat).reshape(shape)
        batch["user_expected"] = (torch.from_numpy(self.likes)[user] @ flat).reshape(shape)
        batch["user_anchors"] = torch.from_numpy(self.anchors)[user]
        batch["user_stats"] = torch.from_numpy(self.statistics(numbers))
        batch["user_summary"] = space.user_summary[user]
        batch["hist_vec"] = space.item_vec[torch.from_numpy(self.ring.item[numbers, :history].astype(np.int64))]
        batch["item_vec"] = space.item_vec[rows].unsqueeze(1)
        batch["item_summary"] = space.item_summary[rows].unsqueeze(1)
        return batch

    def ids(self, numbers: Ints, index: Tensor, history: int) -> dict[str, Tensor]:
        """The part of `batch` that no vector is needed for: ids, values and masks."""
        ring = torch.from_numpy(self.ring.item[numbers, :history].astype(np.int64))
        user_mask = torch.ones(len(numbers), 4, dtype=torch.uint8)
        user_mask[:, 2:] = torch.from_numpy(self.told[numbers]).to(torch.uint8).unsqueeze(1)
        return {
            "hist_index": index[ring],
            "hist_value": torch.from_numpy(self.ring.value[numbers, :history]),
            "item_index": index[torch.from_numpy(self.item[numbers])].unsqueeze(1),
            "user_mask": user_mask,
            "item_mask": torch.ones(len(numbers), 1, dtype=torch.uint8),
        }

    def statistics(self, numbers: Ints) -> Floats:
        """`encoders.statistics` over the ring, and log1p(events since the knowledge): f32[B, 5]."""
        value = self.ring.value[numbers].astype(np.float64)
        present = self.ring.item[numbers] > 0
        count = np.maximum(present.sum(1), 1)
        mean = value.sum(1) / count
        variance = (((value - mean[:, None]) ** 2) * present).sum(1) / count
        liked = (self.ring.side[numbers] > 0).sum(1) / count
        columns = [mean, liked, np.sqrt(variance), np.log1p(present.sum(1)), np.log1p(self.since[numbers])]
        return np.stack(columns, axis=1).astype(np.float32)

    def _experienced(self, numbers: Ints) -> Tensor:
        """Weights [B, 2, R]: which items are summed, liked and disliked."""
        item = torch.from_numpy(self.ring.item[numbers].astype(np.int64))
        side = torch.from_numpy(self.ring.side[numbers])
        rows = self.likes.shape[2]
        weights = torch.zeros(len(numbers), 2 * rows)
        weights.scatter_add_(1, item, (side > 0).float())
        weights.scatter_add_(1, item + rows, (side < 0).float())
        return weights.reshape(len(numbers), 2, rows)


def build_samples(
    data: MovieLens,
    knowledge: Mapping[str, Knowledge],
    anchors: Sequence[str],
    scenario: Scenario,
    ring_size: int,
    page_blind: bool = False,
) -> Samples:
    """All samples of users who have knowledge of their first `history_length` events (their frozen record).

    `page_blind`: inputs see only events of earlier seconds, and no knowledge that has seen one of the sample's own
    second: half the samples follow another rating of the same user in the same second, a page filled in one go.
    Raises `TerminalError` (`bad_recorded`) if a record has seen another number of events: it could know a target.
    """
    by_user = {user: ratings for user, ratings in data.by_user().items() if user in knowledge}
    users, items = tuple(by_user), tuple(data.items)
    rows = {item: row for row, item in enumerate(items, start=1)}
    likes = np.zeros((len(users), 2, len(items) + 1), dtype=np.float32)
    values = np.zeros((len(users), len(anchors)), dtype=np.float32)
    user_rows: list[int] = []
    item_rows: list[int] = []
    labels: list[float] = []
    since: list[int] = []
    told: list[bool] = []
    ring_parts: list[Ring] = []
    # One-hot "vectors" make `expected` itself say which items it averages, and with which weights.
    hot = {item: _one_hot(row, len(items) + 1) for item, row in rows.items()}
    for number, (user, ratings) in enumerate(by_user.items()):
        first = history_length(len(ratings))
        record = knowledge[user]
        if record.source_rev != first:
            raise TerminalError(
                "bad_recorded", f"the record of user {user} has seen {record.source_rev} events, not the first {first}"
            )
        own = {rating.item_id: rating.value for rating in ratings[:first]}
        means, values[number] = expected(record.expectations, own, hot, anchors, (1, len(items) + 1))
        likes[number] = means[:, 0]
        sides = [side_of(scenario, rating) for rating in ratings]
        ends = seen_before(ratings, page_blind)[first:]
        ring_parts.append(rings(ratings, sides, rows, ends, ring_size))
        user_rows += [number] * (len(ratings) - first)
        item_rows += [rows[rating.item_id] for rating in ratings[first:]]
        labels += [float(side > 0) for side in sides[first:]]
        since += [max(end - first, 0) for end in ends]
        told += [end >= first for end in ends]
    return Samples(
        users,
        items,
        np.array(user_rows, dtype=np.int64),
        np.array(item_rows, dtype=np.int64),
        np.array(labels, dtype=np.float32),
        np.array(since, dtype=np.int64),
        Ring.joined(ring_parts),
        likes,
        values,
        np.array(told, dtype=np.bool_),
    )


def _one_hot(row: int, rows: int) -> Floats:
    vector = np.zeros((1, rows), dtype=np.float32)
    vector[0, row] = 1.0
    return vector


def index_of(items: Iterable[str], vocabulary: Mapping[str, int]) -> Tensor:
    """Item row to vocabulary index, i32[R]: row 0 is padding, and 1 stands for an item outside the vocabulary."""
    return torch.tensor([0, *(vocabulary.get(item, 1) for item in items)], dtype=torch.int32)


def side_of(scenario: Scenario, rating: Rating) -> int:
    """1 = liked, 0 = neutral, -1 = disliked."""
    polarity = scenario.outcome(Action.RATE, rating.value).polarity
    return {Polarity.LIKED: 1, Polarity.NEUTRAL: 0, Polarity.DISLIKED: -1}[polarity]
