"""Loads the ranker that an export put beside the model. torch and safetensors: this runs inside Triton."""

from pathlib import Path

from torch import nn

from serving.cosine import CosineRanker

COSINE, TRAINED = "cosine", "release"


def load_ranker(folder: Path, kind: str) -> nn.Module:
    """The ranker in evaluation mode; `folder` is the model's version folder, `kind` is in ranker.json."""
    if kind == COSINE:
        return CosineRanker().eval()
    if kind == TRAINED:
        # Not at the top: a stack on cosines needs no trained release.
        from ranking.release import Release

        return Release.load(folder / "release").ranker().eval()
    raise ValueError(f"unknown kind of ranker {kind!r}: export again with this version of reki")
