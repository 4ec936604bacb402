"""What the runner trains for reranking.

`POPULARITY` and `UNIFORM` have the two names that a worker looks for, one for each way to draw the lists.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from knowledge.base import TerminalError
from ranking.evaluate.list_material import ListMaterial, build_list_material
from ranking.evaluate.lists import Kind
from ranking.evaluate.metrics import Floats, Numbers
from ranking.evaluate.rerank_fit import train_lists
from ranking.variants import Predictions

ORDERS = ("initial", "popularity")  # no reranker: an order as it stands


@dataclass(frozen=True)
class Rerank:
    """Lists of one kind."""

    kind: Kind

    def build_fold(self, data: Path, encodings: Path, cache: Path, fold: int, page_blind: bool) -> "Rows":
        """The material of a fold; raises `TerminalError` (`bad_option`) for page-blind lists, which there are none."""
        if page_blind:
            raise TerminalError("bad_option", "there are no page-blind lists")
        return Rows(build_list_material(data, encodings, cache, fold, self.kind))

    def train_variant(self, rows: "Rows", reranker: str, variant: str, seed: int, *, page_blind: bool) -> Predictions:
        """Scores of all items of validation and test lists; numbers are list x L + place."""
        begin = time.process_time()
        material = rows.material
        if variant in ORDERS:
            scores = material.base if variant == "initial" else material.popular
            valid, test, epochs = scores[material.valid], scores[material.test], 0
        else:
            valid, test, epochs = train_lists(material, reranker, variant, seed)
        length = material.lists.item.shape[1]
        places = _places(material.valid, length), _places(material.test, length)
        logits = valid.astype(np.float32).ravel(), test.astype(np.float32).ravel()
        return Predictions(*logits, *places, epochs, time.process_time() - begin)


@dataclass(frozen=True)
class Rows:
    """The material, and its lists' items one by one, as the runner keeps them."""

    material: ListMaterial

    @property
    def user(self) -> Numbers:
        """Of each item of each list."""
        return np.repeat(self.material.lists.user, self.material.lists.item.shape[1])

    @property
    def label(self) -> Floats:
        """Of each item of each list."""
        return self.material.lists.label.ravel()

    @property
    def item(self) -> Numbers:
        """Of each item of each list."""
        return self.material.lists.item.ravel()


POPULARITY, UNIFORM = Rerank("popularity"), Rerank("uniform")


def _places(numbers: Numbers, length: int) -> Numbers:
    return (numbers[:, None] * length + np.arange(length)).ravel()
