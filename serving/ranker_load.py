"""Loads the ranker that an export put beside the model. torch and safetensors: this runs inside Triton."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from serving.cosine import CosineRanker

if TYPE_CHECKING:
    from ranking.release import Release

COSINE, TRAINED = "cosine", "release"


class ReleaseRanker(nn.Module):
    """A release's ranker; its logits are divided by the temperature: their sigmoid is the calibrated probability.

    `columns` makes the output of its head on a CPU in less time; None where only torch can make it.
    """

    def __init__(self, release: "Release") -> None:
        super().__init__()
        # Not at the top: a stack on cosines needs no trained release.
        from serving.head_columns import GROUPS, HeadColumns

        network: Any = release.ranker()
        self.columns = None
        if network.head is not None and set(network.head.groups) == GROUPS:
            self.columns = HeadColumns(network.head, network.shape, release.history_length)
            network.head = _Head(network.head)
        self.ranker, self.temperature = network, release.temperature

    def forward(self, batch: dict[str, Tensor], matched: Tensor | None = None) -> Tensor:
        """Log-odds f32[B, N]; the order is the ranker's. `matched` f32[B, N, width] is what `columns` made, or None."""
        logits: Tensor = self.ranker(batch, matched)
        return logits / self.temperature


class _Head(nn.Module):
    """A matching head whose output may be there already."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, batch: dict[str, Tensor], matched: Tensor | None) -> Tensor:
        made: Tensor = self.head(batch) if matched is None else matched
        return made


def load_ranker(folder: Path, kind: str) -> nn.Module:
    """The ranker in evaluation mode, batch to log-odds f32[B, N].

    `folder` is the model's version folder, `kind` is in ranker.json. Raises ValueError for another kind.
    """
    if kind == COSINE:
        return CosineRanker().eval()
    if kind == TRAINED:
        # Not at the top: a stack on cosines needs no trained release.
        from ranking.release import Release

        return ReleaseRanker(Release.load(folder / "release")).eval()
    raise ValueError(f"unknown kind of ranker {kind!r}: export again with this version of reki")
