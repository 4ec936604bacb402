"""The part of `knowledge_loss.py` that trains: does ranking care where a user's, or an item's, knowledge came from?

DIN, five user folds, everything fitted on training users, early stopping on validation users (docs/evaluation.md). All
rows read history, statistics and collaborative vectors; "experienced" adds sums over item knowledge, the others add
expectations of users to that. Intervals: 2,000 draws of whole users, on logits averaged over seeds.
"""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from encoders.settings import EncoderSettings
from ranking.evaluate.ablation_clusters import Population, assembled, recorded_clusters, with_knowledge
from ranking.evaluate.bootstrap import Drawn, UserPairs, drawn
from ranking.evaluate.metrics import auc, gauc
from ranking.fold import FoldMaterial, build_fold, build_material
from ranking.sources import Sources
from ranking.variants import train_variant
from reki.paths import cache_dir


@dataclass
class Trained:
    """Test logits of every row, by fold and seed, with whose they are."""

    seeds: int
    label: dict[int, np.ndarray] = field(default_factory=dict)
    user: dict[int, np.ndarray] = field(default_factory=dict)
    scores: dict[str, dict[int, list[np.ndarray]]] = field(default_factory=dict)

    def train(self, name: str, material: FoldMaterial, fold: int, variant: str) -> None:
        begin = time.monotonic()
        self.label[fold] = material.label.numpy()[material.test]
        self.user[fold] = material.user.numpy()[material.test]
        found = [train_variant(material, "din", variant, seed).test for seed in range(self.seeds)]
        self.scores.setdefault(name, {})[fold] = found
        print(f"fold {fold}: {name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)

    def summary(self) -> dict:
        drawn_of = {name: self._drawn(by_fold) for name, by_fold in self.scores.items()}
        rows = {}
        for name, by_fold in self.scores.items():
            single = [
                (auc(self.label[f], s), gauc(self.user[f], self.label[f], s))
                for f, all_ in by_fold.items()
                for s in all_
            ]
            rows[name] = {
                "auc": round(float(np.mean([a for a, _ in single])), 4),
                "gauc": round(float(np.mean([g for _, g in single])), 4),
                "by_fold_seed": [[round(a, 4), round(g, 4)] for a, g in single],
                "minus_experienced": {
                    metric: [round(x, 4) for x in mine.minus(drawn_of["experienced"][metric]).interval()]
                    for metric, mine in drawn_of[name].items()
                },
            }
        return {"folds": sorted(self.label), "seeds": self.seeds, "users": self._users(), "rows": rows}

    def _single(self, fold: int, score: np.ndarray) -> tuple[float, float]:
        return auc(self.label[fold], score), gauc(self.user[fold], self.label[fold], score)

    def _users(self) -> int:
        return sum(len(np.unique(user)) for user in self.user.values())

    def _drawn(self, by_fold: dict[int, list[np.ndarray]]) -> dict[str, Drawn]:
        pairs = [UserPairs.of(self.user[f], self.label[f], np.mean(s, axis=0)) for f, s in by_fold.items()]
        return {metric: drawn(pairs, metric) for metric in ("auc", "gauc")}


def ranking_loss(
    users: Population,
    items: Population,
    ks: list[int],
    folds: list[int],
    seeds: int,
    data: Path,
    encoding: EncoderSettings,
) -> dict:
    torch.set_num_threads(1)
    sources, trained = Sources.load(data), Trained(seeds)
    for fold in folds:
        own = build_fold(data, encoding.encodings_dir, cache_dir() / "folds", fold)
        trained.train("experienced", own, fold, "no_user_llm")
        trained.train("individual", own, fold, "ours")
        for entity, population in (("user", users), ("item", items)):
            for k in ks:
                clusters, held = recorded_clusters(entity, k, population)
                made = assembled(held, clusters, population)
                other = with_knowledge(sources, made if entity == "user" else None, made if entity == "item" else None)
                material = build_material(other, encoding.encodings_dir, fold, controls=False)
                trained.train(f"{entity}s of {k} clusters", material, fold, "ours")
                if entity == "item":
                    trained.train(f"items of {k} clusters, experienced", material, fold, "no_user_llm")
    return trained.summary()
