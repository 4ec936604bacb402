"""Samples as rows that ask Feast, and Feast's answer as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from feature_repo.schema import ANCHORS, DIM, FACTORS, HISTORY, STORED_STATS, SUMMARY
from ranking.datasets.movielens import Rating
from ranking.offline.rows import SLOT
from ranking.offline.times import asking_times
from ranking.split import history_length

Floats = npt.NDArray[np.float32]
SERVICE = "ranking"  # what the ranker reads at request time is what training asks for


def asked(by_user: Mapping[str, Sequence[Rating]], page_blind: bool = False) -> pd.DataFrame:
    """One row a sample, users and their samples in order: `user_id`, `item_id`, `event_timestamp`.

    The first `history_length` ratings of a user are no samples. No label: the answer does not depend on it.
    """
    users: list[str] = []
    items: list[str] = []
    times: list[Any] = []
    for user, ratings in by_user.items():
        first = history_length(len(ratings))
        users += [user] * (len(ratings) - first)
        items += [rating.item_id for rating in ratings[first:]]
        times += asking_times(ratings, page_blind)[first:]
    frame = pd.DataFrame({"user_id": users, "item_id": items})
    frame["event_timestamp"] = pd.to_datetime(pd.Series(times), utc=True).dt.as_unit("us")
    return frame


def read(feast: Any, frame: pd.DataFrame) -> pa.Table:  # noqa: ANN401 - a feast.FeatureStore
    """What service `ranking` gives for these rows, as of their times, in their order."""
    table: pa.Table = feast.get_historical_features(frame, feast.get_feature_service(SERVICE)).to_arrow()
    return table


@dataclass(frozen=True)
class Joined:
    """Feast's answer for n samples; zeros where a row was not there, as the reader of serving fills them."""

    history_item_ids: list[list[str]]  # newest first
    history_values: list[list[float]]
    history_rev: npt.NDArray[np.int64]  # [n] events seen; 0 = no row
    expected_rev: npt.NDArray[np.int64]  # [n] events that the knowledge had seen; 0 = no row
    experienced_vec: Floats  # [n, 2, F, d]
    stats: Floats  # [n, S - 1]
    expected_vec: Floats  # [n, 2, F, d]
    anchors: Floats  # [n, A]
    user_summary: Floats  # [n, 32]
    item_vec: Floats  # [n, F, d]
    item_summary: Floats  # [n, 32]

    @classmethod
    def of(cls, table: pa.Table) -> "Joined":
        """From the table that `read` gives. Raises ValueError for lists longer than the ranker reads."""

        def floats(name: str, *shape: int) -> Floats:
            return _dense(table.column(f"{name}_{SLOT}"), shape)

        ids = [list(row or ()) for row in table.column("history_item_ids").to_pylist()]
        if max(map(len, ids), default=0) > HISTORY:
            raise ValueError(f"a history of more than {HISTORY} items")
        return cls(
            ids,
            [list(row or ()) for row in table.column("history_values").to_pylist()],
            _ints(table.column("history_rev")),
            _ints(table.column(f"expected_rev_{SLOT}")),
            floats("experienced_vec", 2, FACTORS, DIM),
            floats("experienced_stats", STORED_STATS),
            floats("expected_vec", 2, FACTORS, DIM),
            floats("expected_anchors", ANCHORS),
            floats("expected_summary", SUMMARY),
            floats("item_vec", FACTORS, DIM),
            floats("item_summary", SUMMARY),
        )


def _ints(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.asarray(column.fill_null(0).to_numpy(), dtype=np.int64)


def _dense(column: pa.ChunkedArray, shape: tuple[int, ...]) -> Floats:
    rows = np.zeros((len(column), int(np.prod(shape))), dtype=np.float32)
    start = 0
    for chunk in column.chunks:
        present = ~np.asarray(chunk.is_null())
        # Flattening leaves out what a null stands for.
        numbers = chunk.flatten().to_numpy(zero_copy_only=False)
        rows[start : start + len(chunk)][present] = numbers.reshape(-1, rows.shape[1])
        start += len(chunk)
    return rows.reshape(len(column), *shape)
