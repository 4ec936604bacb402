"""What is lost by being cheap: one answer of an LLM for a cluster instead of one for each user or item.

    .venv/bin/python benchmarks/knowledge_loss.py --out FILE.json [--k 50 100 200] [--rank] [--folds 0 1] [--seeds 2]

The recorded individual knowledge of MovieLens-100K is the reference. The recorded answers for clusters
(knowledge/data/ml-100k/clusters) were written by a large language model that saw the clusters' prompts and nothing
else; users' clusters and prompts come from their first `history_length` ratings.

texts      cosine of an entity's own factor text and its collective one, both encoded and centred by the mean over the
           entities' own texts, per factor and mean, with quantiles of an entity's mean; `shuffled` = another entity's
           collective text. `mixed` (items) compares with the weighted mean of the clusters' vectors instead
anchors    correlation over a user's anchors of own and collective values, both less the anchor's mean over users
named      share of a user's expected likes that are collective likes, too (and dislikes), beside another user's
ranking    (--rank) AUC and GAUC of DIN: experienced knowledge alone, with collective, with individual expectations
"""

import argparse
import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks.cluster_prompts import populate
from encoders.clusters import Clusters
from encoders.collective import soft_vectors
from encoders.condense import encode_factors
from encoders.representation import unit
from encoders.sentence import SentenceEncoder
from encoders.settings import EncoderSettings
from encoders.text_cache import EncodingCache
from knowledge.base import Knowledge
from knowledge.collective import ClusterKnowledge
from knowledge.recorded import RecordedStore
from knowledge.scenario import load_scenario
from ranking.datasets.movielens import load
from ranking.evaluate.ablation_clusters import Population, assembled, recorded_clusters
from ranking.settings import RankingSettings

FACTORS = load_scenario("films").factors
QUANTILES = ("0.05", "0.25", "0.5", "0.75", "0.95")


class Encoded:
    """Texts as unit vectors f32[n, F, 384], less the mean of the own texts; zeros where there is no text."""

    def __init__(self, settings: EncoderSettings, own: list[dict[str, str]]) -> None:
        self._encoder, self._cache = SentenceEncoder(settings.encoder_id), EncodingCache(settings.encodings_dir)
        raw, mask = self._raw(own)
        self._mean = raw.sum(0) / np.maximum(mask.sum(0), 1)[:, None]
        self.own = self._centred(raw, mask)

    def of(self, texts: list[dict[str, str]]) -> np.ndarray:
        return self._centred(*self._raw(texts))

    def _raw(self, texts: list[dict[str, str]]) -> tuple[np.ndarray, np.ndarray]:
        vectors, mask = encode_factors(texts, FACTORS, self._encoder, self._cache)
        return np.asarray(vectors), np.asarray(mask)

    def _centred(self, vectors: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return unit(((vectors - self._mean) * mask[..., None]).astype(np.float32))


def compared(own: np.ndarray, other: np.ndarray) -> dict:
    """Cosines of [n, F, D] with [n, F, D], and with those of a random other entity."""
    shuffled = np.random.default_rng(0).permutation(len(own))
    cosine, control = ((own * side).sum(2) for side in (other, other[shuffled]))
    return {
        "factors": {name: round(float(cosine[:, f].mean()), 4) for f, name in enumerate(FACTORS)},
        "mean": round(float(cosine.mean()), 4),
        "quantiles": {q: round(float(np.quantile(cosine.mean(1), float(q))), 4) for q in QUANTILES},
        "shuffled": round(float(control.mean()), 4),
    }


def anchors(own: list[Knowledge], other: list[Knowledge], names: tuple[str, ...]) -> dict[str, float]:
    tables = []
    for side in (own, other):
        table = np.array([[k.expectations.anchors.get(i, np.nan) for i in names] for k in side])
        tables.append(table - np.nanmean(table, axis=0))
    shuffled = np.random.default_rng(0).permutation(len(own))

    def correlation(one: np.ndarray, two: np.ndarray) -> float:
        found = []
        for a, b in zip(one, two, strict=True):
            both = ~(np.isnan(a) | np.isnan(b))
            if both.sum() > 5 and a[both].std() > 0 and b[both].std() > 0:
                found.append(np.corrcoef(a[both], b[both])[0, 1])
        return round(float(np.mean(found)), 4)

    return {"correlation": correlation(*tables), "shuffled": correlation(tables[0], tables[1][shuffled])}


def named(own: list[Knowledge], other: list[Knowledge]) -> dict[str, float]:
    shuffled = np.random.default_rng(0).permutation(len(own))
    found = {}
    for side in ("likes", "dislikes"):
        mine, theirs = ([set(getattr(k.expectations, side)) for k in all_] for all_ in (own, other))
        shares = [len(a & b) / len(a) for a, b in zip(mine, theirs, strict=True) if a]
        control = [len(a & theirs[s]) / len(a) for a, s in zip(mine, shuffled, strict=True) if a]
        found[side], found[f"{side}_shuffled"] = round(float(np.mean(shares)), 4), round(float(np.mean(control)), 4)
    return found


def collective(
    entity: str, k: int, population: Population
) -> tuple[Clusters, dict[int, ClusterKnowledge], list[Knowledge]]:
    clusters, held = recorded_clusters(entity, k, population)
    return clusters, held, assembled(held, clusters, population)


def of_users(population: Population, store: RecordedStore, settings: EncoderSettings, ks: list[int]) -> dict:
    own = [store.users()[i] for i in population.ids]
    encoded = Encoded(settings, [k.factors for k in own])
    found = {}
    for k in ks:
        clusters, _, made = collective("user", k, population)
        found[str(k)] = {
            "members": {"smallest": int(clusters.counts.min()), "largest": int(clusters.counts.max())},
            "texts": compared(encoded.own, encoded.of([one.factors for one in made])),
            "anchors": anchors(own, made, store.catalogue.anchors),
            "named": named(own, made),
        }
    return found


def of_items(population: Population, store: RecordedStore, settings: EncoderSettings, ks: list[int]) -> dict:
    encoded = Encoded(settings, [store.items().get(i, {}) for i in population.ids])
    found = {}
    for k in ks:
        clusters, held, made = collective("item", k, population)
        mixed = soft_vectors(*clusters.assign(population.vectors), encoded.of([held[c].factors for c in range(k)]))
        found[str(k)] = {
            "members": {"smallest": int(clusters.counts.min()), "largest": int(clusters.counts.max())},
            "texts": compared(encoded.own, encoded.of([one.factors for one in made])),
            "mixed": compared(encoded.own, mixed),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--k", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--rank", action="store_true")
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", type=Path, default=RankingSettings().movielens_dir)
    parser.add_argument("--encodings", type=Path, default=EncoderSettings().encodings_dir)
    chosen = parser.parse_args()
    data, settings = load(chosen.data), EncoderSettings(encodings_dir=chosen.encodings)
    histories = {user: [rating.item_id for rating in own] for user, own in data.by_user().items()}
    store = RecordedStore.load(histories=histories)
    users, items = populate("user", data, settings), populate("item", data, settings)
    found = {
        "users": of_users(users, store, settings, chosen.k),
        "items": of_items(items, store, settings, chosen.k),
    }
    if chosen.rank:
        from benchmarks.knowledge_ranking import ranking_loss

        found["ranking"] = ranking_loss(users, items, chosen.k, chosen.folds, chosen.seeds, chosen.data, settings)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
