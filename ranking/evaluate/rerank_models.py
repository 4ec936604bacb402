"""What the runner trains for reranking: a reranker on lists, with the matching head's field beside its items.

`POPULARITY` and `UNIFORM` have the two names that a worker looks for, one for each way to draw the lists.
"""

import copy
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from knowledge.base import TerminalError
from ranking.evaluate.list_material import ListMaterial, build_list_material
from ranking.evaluate.lists import Kind, list_metrics
from ranking.evaluate.metrics import Floats, Numbers
from ranking.fit import hide, standardise
from ranking.head import MatchingHead
from ranking.rerankers import LOSSES, RERANKERS
from ranking.shape import RankerShape
from ranking.variants import VARIANTS, Predictions

ORDERS = ("initial", "popularity")  # no reranker: an order as it stands
_FIELD, _HIDDEN = 32, 64
_EPOCHS, _PATIENCE, _BATCH, _RATE, _DECAY = 15, 3, 128, 1e-3, 0.01


class ListRanker(nn.Module):
    """A reranker, and the matching head as a field of each item and directly in its score."""

    def __init__(self, reranker: str, shape: RankerShape) -> None:
        super().__init__()
        self.head = MatchingHead(shape) if shape.groups else None
        if self.head is not None:
            self.field = nn.Sequential(
                nn.Linear(self.head.width, _HIDDEN),
                nn.ReLU(),
                nn.Dropout(shape.dropout),
                nn.Linear(_HIDDEN, _FIELD),
            )
            self.direct = nn.Linear(self.head.width, 1)
        self.reranker = RERANKERS[reranker](shape, 0 if self.head is None else _FIELD)

    def forward(self, batch: dict[str, Tensor], features: Tensor | None) -> Tensor:
        """Scores f32[B, L]; `features` f32[B, L, K] raw."""
        if self.head is None:
            plain: Tensor = self.reranker(batch, None)
            return plain
        matched = self.head(batch, features)
        scores: Tensor = self.reranker(batch, self.field(matched)) + self.direct(matched).squeeze(-1)
        return scores


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
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                valid, test, epochs = _train(material, reranker, variant, seed)
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


def _train(material: ListMaterial, reranker: str, name: str, seed: int) -> tuple[Floats, Floats, int]:
    variant = VARIANTS[name]
    shape = RankerShape(
        material.fold.vocabulary,
        dim=material.dim,
        backbone_history=variant.history,
        knowledge=bool(variant.groups),
        groups=tuple(variant.groups),
        summaries=False,
    )
    network = ListRanker(reranker, shape)
    features: Tensor | None = None
    if network.head is not None:
        features = torch.cat([material.columns[source].float() for source in variant.groups.values()], dim=2)
        standardise(network.head, features[torch.from_numpy(material.train)].flatten(0, 1))
    label, base = torch.from_numpy(material.lists.label), torch.from_numpy(material.base)
    listed = torch.ones(_BATCH, label.shape[1], dtype=torch.bool)

    def score(numbers: Tensor, draw: np.random.Generator | None) -> Tensor:
        batch = {key: tensor[numbers] for key, tensor in material.ids.items()}
        batch["base_score"] = base[numbers]
        if draw is not None:
            hide(batch, draw)
        scores: Tensor = network(batch, None if features is None else features[numbers])
        return scores

    def predict(numbers: Numbers) -> Floats:
        network.eval()
        with torch.inference_mode():
            return torch.cat([score(part, None) for part in torch.split(torch.from_numpy(numbers), 1024)]).numpy()

    draw = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    best, best_epoch, kept = -1.0, -1, copy.deepcopy(network.state_dict())
    for epoch in range(_EPOCHS):
        network.train()
        for numbers in torch.split(torch.from_numpy(draw.permutation(material.train)), _BATCH):
            loss = LOSSES[reranker](score(numbers, draw), label[numbers], listed[: len(numbers)])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch's own
            optimizer.step()
        gain = float(np.nanmean(list_metrics(material.lists.label[material.valid], predict(material.valid))[1]))
        if gain > best:
            best, best_epoch, kept = gain, epoch, copy.deepcopy(network.state_dict())
        elif epoch - best_epoch >= _PATIENCE:
            break
    network.load_state_dict(kept)
    return predict(material.valid), predict(material.test), best_epoch + 1
