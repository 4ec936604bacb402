"""What stands in HEIN's place: one MLP a side, or the projected factor vectors themselves, as fields of a backbone.

Both read what HEIN reads, [F, d] vectors of a user's and of an item's texts; there is no matching head (as `kar`).
"""

import time

import torch
from torch import Tensor, nn

from encoders.hein import Hein, HeinShape
from ranking.fit import FitOptions, fit, predict
from ranking.fold import FoldMaterial
from ranking.model import Ranker
from ranking.shape import RankerShape
from ranking.tuned import tuned
from ranking.variants import EPOCHS, SHORT, VARIANTS, Predictions, inputs_of

_HIDDEN = 196  # so that both MLPs together have as many weights as HEIN's six experts and two gates


class Concatenated(Hein):
    """A side's summary is its vectors, one after the other: f32[n, F * d]."""

    def __init__(self, shape: HeinShape) -> None:
        super().__init__(shape)
        self.requires_grad_(False)

    def item_summary(self, vec: Tensor) -> Tensor:
        """f32[n, F, d] to f32[n, F * d]."""
        return vec.flatten(1)

    def user_summary(self, vec: Tensor) -> Tensor:
        """f32[n, F, d] to f32[n, F * d]."""
        return vec.flatten(1)


class Perceptrons(Hein):
    """A side's summary is what one MLP makes of its vectors: f32[n, 32]."""

    def __init__(self, shape: HeinShape) -> None:
        super().__init__(shape)
        self.requires_grad_(False)
        width = shape.factors * shape.dim
        self.of_item, self.of_user = (
            nn.Sequential(nn.Linear(width, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, shape.summary)) for _ in range(2)
        )

    def item_summary(self, vec: Tensor) -> Tensor:
        """f32[n, F, d] to f32[n, 32]."""
        summary: Tensor = self.of_item(vec.flatten(1))
        return summary

    def user_summary(self, vec: Tensor) -> Tensor:
        """f32[n, F, d] to f32[n, 32]."""
        summary: Tensor = self.of_user(vec.flatten(1))
        return summary


FUSED: dict[str, type[Hein]] = {"kar_mlp": Perceptrons, "kar_concat": Concatenated}


def train_fused(
    material: FoldMaterial, backbone: str, name: str, seed: int, options: FitOptions | None = None
) -> Predictions:
    """Train `backbone` with the summaries of `FUSED[name]`, as `ranking.variants.train_variant` trains `kar`."""
    begin = time.process_time()
    factors, dim = material.item_vec.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = HeinShape(factors=factors, dim=dim)
        summary = factors * dim if FUSED[name] is Concatenated else shape.summary
        ranker = Ranker(
            RankerShape(
                material.vocabulary,
                factors,
                dim,
                summary=summary,
                backbone=backbone,
                backbone_history=SHORT,
                groups=(),
            )
        )
        experts = FUSED[name](shape)
        inputs = inputs_of(material, None)
        chosen = options or tuned(backbone, VARIANTS["kar"].knows, EPOCHS, seed)
        _, epochs = fit(ranker, experts, inputs, material.train, material.valid, chosen)
        valid, test = (predict(ranker, experts, inputs, numbers) for numbers in (material.valid, material.test))
    return Predictions(valid, test, material.valid, material.test, epochs, time.process_time() - begin)
