"""Rows of the ablations that have other inputs than `ours`, for a worker: `build_fold` and `train_variant`."""

import time
from dataclasses import replace

from ranking.evaluate.ablation_changes import CHANGES
from ranking.evaluate.ablation_fold import AblationFold
from ranking.variants import Predictions
from ranking.variants import train_variant as train

build_fold = AblationFold


def train_variant(
    fold: AblationFold, backbone: str, variant: str, seed: int, *, page_blind: bool | None = None
) -> Predictions:
    """Train a row of `CHANGES`; as `ranking.variants.train_variant`, but `cpu_s` counts columns that were made, too."""
    change, begin = CHANGES[variant], time.process_time()
    material = fold.material(change)
    columns_s = time.process_time() - begin
    made = train(material, backbone, change.variant(variant), seed, page_blind=page_blind)
    return replace(made, cpu_s=made.cpu_s + columns_s)
