"""A fold's test samples seen in other ways: rows behind the material's own, scored by the network that it trains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ranking.fold import FoldMaterial
from ranking.inputs import Ints

FULL = "full"  # the test samples as they are


@dataclass(frozen=True)
class View:
    """All T test samples, in order, as a ranker would read them if something were otherwise."""

    name: str
    ids: Mapping[str, Tensor]  # the ranker's tensors that are no vectors, T rows each
    columns: Mapping[str, Tensor] = field(default_factory=dict)  # raw columns that differ, T rows each


def extended(material: FoldMaterial, views: Sequence[View]) -> FoldMaterial:
    """`material` with the views' rows behind its own. Training and validation stay; `test` stays too: see `shown`."""
    test = torch.from_numpy(material.test)
    count = len(views)

    def rows(tensor: Tensor) -> Tensor:
        return torch.cat([tensor, *[tensor[test]] * count])

    return replace(
        material,
        user=rows(material.user),
        item=rows(material.item),
        label=rows(material.label),
        since=rows(material.since),
        ids={name: torch.cat([own, *(view.ids[name] for view in views)]) for name, own in material.ids.items()},
        columns={
            name: torch.cat([own, *(view.columns.get(name, own[test]) for view in views)])
            for name, own in material.columns.items()
        },
    )


def shown(material: FoldMaterial, samples: int, places: Sequence[int]) -> FoldMaterial:
    """Extended material whose `test` is the test samples as they are and then, in turn, the views at `places`.

    `samples` is the number of samples before it was extended.
    """
    size = len(material.test)
    parts: list[Ints] = [material.test]
    parts += [samples + place * size + np.arange(size) for place in places]
    return replace(material, test=np.concatenate(parts))
