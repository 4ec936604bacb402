"""Rows of the ablations that read other columns of a fold's material, for a worker: `build_fold`, `train_variant`."""

from ranking.evaluate.ablation_fused import FUSED, train_fused
from ranking.fold import FoldMaterial, build_fold
from ranking.variants import VARIANTS, Predictions, Variant
from ranking.variants import train_variant as train

__all__ = ["ROWS", "build_fold", "train_variant"]

# What an LLM expects of a user, as far as no text of an item is read for it.
_NO_TEXT = ("anchors_level", "anchors_collaborative", "anchors_itself", "since")
_SELECTED = {
    variant.name: variant
    for variant in (
        Variant("user_only", {**VARIANTS["collab"].groups, **{name: name for name in _NO_TEXT}}),
        Variant("texts_only", VARIANTS["no_user_llm"].groups, summaries=True),
    )
}
ROWS = (*_SELECTED, *FUSED)


def train_variant(
    material: FoldMaterial, backbone: str, variant: str, seed: int, *, page_blind: bool | None = None
) -> Predictions:
    """Train one of `ROWS`; as `ranking.variants.train_variant`."""
    if variant in FUSED:
        return train_fused(material, backbone, variant, seed)
    return train(material, backbone, _SELECTED[variant], seed, page_blind=page_blind)
