"""Loads the ranker that an export put beside the model. torch and safetensors: this runs inside Triton."""

from pathlib import Path

from torch import Tensor, nn

from serving.cosine import CosineRanker

COSINE, TRAINED = "cosine", "release"


class Tempered(nn.Module):
    """A ranker whose logits are divided by the release's temperature: their sigmoid is the calibrated probability."""

    def __init__(self, ranker: nn.Module, temperature: float) -> None:
        super().__init__()
        self.ranker, self.temperature = ranker, temperature

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Log-odds f32[B, N]; the order is the ranker's."""
        logits: Tensor = self.ranker(batch)
        return logits / self.temperature


def load_ranker(folder: Path, kind: str) -> nn.Module:
    """The ranker in evaluation mode, batch to log-odds f32[B, N].

    `folder` is the model's version folder, `kind` is in ranker.json. Raises ValueError for another kind.
    """
    if kind == COSINE:
        return CosineRanker().eval()
    if kind == TRAINED:
        # Not at the top: a stack on cosines needs no trained release.
        from ranking.release import Release

        release = Release.load(folder / "release")
        return Tempered(release.ranker(), release.temperature).eval()
    raise ValueError(f"unknown kind of ranker {kind!r}: export again with this version of reki")
