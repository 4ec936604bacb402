"""Moving averages of weights over training steps: what is judged and kept, while training goes on from the weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor


class Averaged:
    """Averages of `weights` at `decay` per step; 0 = the weights as they are."""

    def __init__(self, weights: Sequence[Tensor], decay: float) -> None:
        self._weights, self._decay, self._steps = weights, decay, 0
        self._averages = [weight.detach().clone() for weight in weights]

    def step(self) -> None:
        """After each step of the optimizer."""
        # Slow at first, when the average would else be mostly the initial weights.
        share = 1 - min(self._decay, (self._steps + 1) / (self._steps + 10)) if self._decay else 1.0
        for weight, average in zip(self._weights, self._averages, strict=True):
            average.lerp_(weight.detach(), share)
        self._steps += 1

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Within it the network has the averages for its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.data, average.data = average.data, weight.data
