"""What the runner trains for `reki evaluate robust`: networks scored on several views of the same test samples.

Group "N": fold N's material. `ours` is scored with each part masked and with histories cut, the other variants with
histories cut; "ours-without-PART" never had that part. Group "cold-items-N": its own material.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ranking.evaluate.cold_items import build_cold
from ranking.evaluate.cold_users import CUTS, cut_name, cut_views
from ranking.evaluate.masks import PARTS, masked, without
from ranking.evaluate.robust_views import FULL, View, extended, shown
from ranking.fold import Fold, FoldMaterial
from ranking.fold import build_fold as build_plain
from ranking.sources import Sources
from ranking.variants import Predictions
from ranking.variants import train_variant as train_plain

COLD = "cold-items-"
WITHOUT = "ours-without-"
_CUT = [cut_name(events, knowledge) for events in CUTS for knowledge in (True, False)]
_TOLD = [cut_name(events, True) for events in CUTS]
_ALL = [*PARTS, *_CUT]  # in the order in which a material has them


@dataclass(frozen=True)
class RobustMaterial:
    """A fold's material and, unless it is of cold items, the same with the views' rows behind it."""

    own: FoldMaterial
    seen: FoldMaterial | None

    @property
    def user(self) -> Tensor:
        """Of the samples."""
        return self.own.user

    @property
    def item(self) -> Tensor:
        """Of the samples."""
        return self.own.item

    @property
    def label(self) -> Tensor:
        """Of the samples."""
        return self.own.label


def views_of(variant: str) -> list[str]:
    """Names of the views that a model of group "N" is scored on, in the order of its predictions."""
    if variant.startswith(WITHOUT):
        return [FULL]
    return [FULL, *(_ALL if variant == "ours" else _TOLD)]


def build_fold(
    data: Path | str, encodings: Path | str, cache: Path | str | None, fold: Fold | str, page_blind: bool
) -> RobustMaterial:
    """Raises ValueError for page-blind: these comparisons are of the strict order."""
    if page_blind:
        raise ValueError("robustness is measured in strict order")
    if isinstance(fold, str) and fold.startswith(COLD):
        number = int(fold.removeprefix(COLD))
        return RobustMaterial(build_cold(Sources.load(data), Path(encodings), number), None)
    number = int(fold)
    own = build_plain(data, encodings, cache, number)
    test = {name: tensor[own.test] for name, tensor in own.ids.items()}
    views = [View(part, masked(test, part)) for part in PARTS]
    views += cut_views(own, Sources.load(data), number)
    return RobustMaterial(own, extended(own, views))


def train_variant(
    material: RobustMaterial, backbone: str, variant: str, seed: int, *, page_blind: bool | None = None
) -> Predictions:
    """As `ranking.variants.train_variant`; `test` holds one stretch for each of `views_of(variant)`.

    Its numbers of samples repeat with each view. For cold items there is one stretch.
    """
    own = material.own
    if variant.startswith(WITHOUT):
        return train_plain(without(own, variant.removeprefix(WITHOUT)), backbone, "ours", seed)
    if material.seen is None:
        return train_plain(own, backbone, variant, seed)
    names = views_of(variant)[1:]
    places = [_ALL.index(name) for name in names]
    run = train_plain(shown(material.seen, len(own.label), places), backbone, variant, seed)
    return replace(run, test_numbers=np.tile(own.test, 1 + len(names)))
