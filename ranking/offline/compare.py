"""Feast's answer beside the inputs that training builds from an index: the same numbers, or how many differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from feature_repo.schema import HISTORY
from ranking.inputs import Samples, Space
from ranking.offline.join import Joined

RELATIVE, ABSOLUTE = 1e-4, 1e-5  # sums of up to 100 float32 vectors, added in another order
_CHUNK = 2048
Numbers = npt.NDArray[np.generic]


@dataclass
class Comparison:
    """Over n samples: how many differ in each input, and by how much floats differ at most (`largest`)."""

    samples: int = 0
    mismatches: dict[str, int] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Mismatches of all inputs."""
        return sum(self.mismatches.values())

    def add(self, name: str, left: Numbers, right: Numbers) -> None:
        """Compare one input of some samples, [n, ...] each: whole numbers exactly, floats within the tolerance."""
        rows = len(left)
        if np.issubdtype(left.dtype, np.floating):
            wrong = ~np.isclose(left, right, RELATIVE, ABSOLUTE)
            gap = float(np.abs(left - right).max()) if left.size else 0.0  # type: ignore[operator]
            self.largest[name] = max(self.largest.get(name, 0.0), gap)
        else:
            wrong = left != right
        self.mismatches[name] = self.mismatches.get(name, 0) + int(wrong.reshape(rows, -1).any(1).sum())


def compare(samples: Samples, space: Space, joined: Joined) -> Comparison:
    """Compare every input of the ranker; `joined` has the samples in the same order."""
    if len(joined.history_rev) != len(samples):
        raise ValueError(f"{len(joined.history_rev)} rows from Feast for {len(samples)} samples")
    rows = {item: row for row, item in enumerate(samples.items, start=1)}
    index = torch.arange(len(space.item_vec), dtype=torch.int32)  # item rows stand for vocabulary indices
    result = Comparison(samples=len(samples))
    for start in range(0, len(samples), _CHUNK):
        numbers = np.arange(start, min(start + _CHUNK, len(samples)))
        built = {name: tensor.numpy() for name, tensor in samples.batch(numbers, space, index, HISTORY).items()}
        built["told"] = samples.told[numbers]
        for name in ("user_expected", "user_anchors", "user_summary"):
            # The index holds them for every sample and masks them; Feast has no row before its time.
            built[name][~built["told"]] = 0
        for name, value in _served(joined, numbers, rows).items():
            result.add(name, value, built[name])
    return result


def _served(joined: Joined, numbers: npt.NDArray[np.int64], rows: Mapping[str, int]) -> dict[str, Numbers]:
    """The ranker's tensors of these samples, made of Feast's answer as the reader of serving makes them."""
    ids = np.zeros((len(numbers), HISTORY), dtype=np.int32)
    values = np.zeros((len(numbers), HISTORY), dtype=np.float32)
    for place, number in enumerate(numbers):
        length = len(joined.history_item_ids[number])
        ids[place, :length] = [rows[item] for item in joined.history_item_ids[number]]
        values[place, :length] = joined.history_values[number]
    known = joined.expected_rev[numbers] > 0
    since = np.where(known, joined.history_rev[numbers] - joined.expected_rev[numbers], 0)
    stats = np.concatenate([joined.stats[numbers], np.log1p(since)[:, None]], axis=1).astype(np.float32)
    return {
        "hist_index": ids,
        "hist_value": values,
        "user_stats": stats,
        "user_experienced": joined.experienced_vec[numbers],
        "told": known,
        "user_expected": joined.expected_vec[numbers],
        "user_anchors": joined.anchors[numbers],
        "user_summary": joined.user_summary[numbers],
        "item_vec": joined.item_vec[numbers][:, None],
        "item_summary": joined.item_summary[numbers][:, None],
    }
