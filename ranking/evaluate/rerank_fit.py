"""Training of one reranker on lists: ids learn faster, weights are averaged, the validation users' NDCG@7 stops."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ranking.averaging import Averaged
from ranking.backbones.parts import FieldEmbedding
from ranking.evaluate.list_material import ListMaterial
from ranking.evaluate.lists import list_metrics
from ranking.evaluate.metrics import Floats, Numbers
from ranking.evaluate.rerank_network import ListRanker
from ranking.fit import hide, standardise
from ranking.rerankers import LOSSES
from ranking.shape import RankerShape
from ranking.variants import VARIANTS, Variant

EPOCHS = 40  # for early stopping to decide; the report says how long the longest training was
_LISTS_AT_ONCE = 1024
# Half as wide as the click models: an epoch takes 60 to 70 % of the time, for 0.001 to 0.003 of validation NDCG@7.
_EMBEDDING, _TOWER = 16, (100, 40)


@dataclass(frozen=True)
class ListOptions:
    """How a reranker is trained; chosen on the validation users of fold 0 (docs/evaluation.md)."""

    batch: int = 128
    rate: float = 3e-3
    # Ids start near zero and say who is rated with whom; at the others' rate PRM took more than twice the epochs.
    embedding_rate: float = 5.0  # times `rate`
    decay: float = 0.01
    average: float = 0.98  # of the weights, over steps
    patience: int = 2  # epochs without a better validation NDCG@7


def train_lists(
    material: ListMaterial, reranker: str, variant: str, seed: int, options: ListOptions | None = None
) -> tuple[Floats, Floats, int]:
    """Scores f32[n, L] of validation and test lists, nothing hidden, and the best epoch.

    Lists in which nothing is liked have no right order: they neither train nor count in validation.
    """
    chosen = options or ListOptions()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fitting = _Fitting(material, reranker, VARIANTS[variant])
        epoch = _fit(fitting, chosen, seed)
    return fitting.predict(material.valid), fitting.predict(material.test), epoch


class _Fitting:
    """A network and the tensors that it reads."""

    def __init__(self, material: ListMaterial, reranker: str, variant: Variant) -> None:
        self.material, self.loss = material, LOSSES[reranker]
        shape = RankerShape(
            material.vocabulary,
            dim=material.dim,
            embedding=_EMBEDDING,
            hidden=_TOWER,
            backbone_history=variant.history,
            knowledge=bool(variant.groups),
            groups=tuple(variant.groups),
            summaries=False,
        )
        self.network = ListRanker(reranker, shape)
        self.features: Tensor | None = None
        if self.network.head is not None:
            columns = [material.columns[source].float() for source in variant.groups.values()]
            self.features = torch.cat(columns, dim=2)
            standardise(self.network.head, self.features[torch.from_numpy(material.train)].flatten(0, 1))
        self.label, self.base = torch.from_numpy(material.lists.label), torch.from_numpy(material.base)

    def score(self, numbers: Tensor, draw: np.random.Generator | None) -> Tensor:
        """f32[B, L] of these lists; with `draw` parts are hidden at random."""
        batch = {key: tensor[numbers] for key, tensor in self.material.ids.items()}
        batch["base_score"] = self.base[numbers]
        if draw is not None:
            hide(batch, draw)
        scores: Tensor = self.network(batch, None if self.features is None else self.features[numbers])
        return scores

    def predict(self, numbers: Numbers) -> Floats:
        """f32[n, L], nothing hidden."""
        self.network.eval()
        with torch.inference_mode():
            parts = torch.split(torch.from_numpy(numbers), _LISTS_AT_ONCE)
            return torch.cat([self.score(part, None) for part in parts]).numpy()


def _fit(fitting: _Fitting, options: ListOptions, seed: int) -> int:
    """Train to the best epoch, whose averaged weights stay; returns it."""
    material, network = fitting.material, fitting.network
    draw = np.random.default_rng(seed)
    tables = {id(layer.items.weight) for layer in network.modules() if isinstance(layer, FieldEmbedding)}
    weights = list(network.parameters())
    fast, slow = ([w for w in weights if (id(w) in tables) == wanted] for wanted in (True, False))
    groups = [{"params": fast, "lr": options.rate * options.embedding_rate}, {"params": slow, "lr": options.rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=options.decay, fused=True)
    averaged = Averaged(weights, options.average)
    train = material.train[material.lists.label[material.train].any(1)]
    liked = material.lists.label[material.valid]
    listed = torch.ones(options.batch, liked.shape[1], dtype=torch.bool)
    best, best_epoch, kept = -1.0, -1, copy.deepcopy(network.state_dict())
    for epoch in range(EPOCHS):
        network.train()
        for numbers in torch.split(torch.from_numpy(draw.permutation(train)), options.batch):
            loss = fitting.loss(fitting.score(numbers, draw), fitting.label[numbers], listed[: len(numbers)])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch's own
            optimizer.step()
            averaged.step()
        with averaged.shown():
            gain = float(np.nanmean(list_metrics(liked, fitting.predict(material.valid))[1]))
            if gain > best:
                best, best_epoch, kept = gain, epoch, copy.deepcopy(network.state_dict())
        if epoch - best_epoch >= max(options.patience, 1):
            break
    network.load_state_dict(kept)
    return best_epoch + 1
