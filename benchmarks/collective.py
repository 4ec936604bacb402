"""Collective extraction on MovieLens-100K without an LLM: what it costs to compute, and what grouping alone loses.

    .venv/bin/python benchmarks/collective.py --out FILE.json [--k 50 100 200]

Clusters have no LLM answer here. In its place stands what an LLM that knew every member could say at best: the means of
the recorded expectations and of the encoded texts of the cluster's members, always without the one who is compared.
What is lost against it is lost by grouping; an LLM's cluster answers (`cluster_answers.py`) lose more.

users.<k>.anchors   mean correlation, over training users, of a user's recorded anchor values with the collective ones,
                    both less the anchor's mean over users and the user's own mean, for (top_m, temperature); `nearest`
                    is one cluster alone, `shuffled` the collective values of another user
items.<k>.cosine    cosine of an item's own factor vector (f32[d], projected) with its collective one, per factor and
                    mean, with quantiles of an item's mean; `nearest` takes one cluster alone, `shuffled` another
                    item's collective vector
speed               clustering, assignment and assembly: CPU time on this machine
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks.cluster_prompts import cluster, item_vectors, populate
from encoders.clusters import TEMPERATURE, TOP_M, Clusters
from encoders.collective import memberships
from encoders.representation import unit
from encoders.settings import EncoderSettings
from knowledge.base import Expectations
from knowledge.collective import ClusterKnowledge
from knowledge.recorded import RECORDED_AT, RecordedStore
from knowledge.scenario import load_scenario
from ranking.datasets.movielens import load
from ranking.evaluate.ablation_clusters import Population, assembled
from ranking.settings import RankingSettings
from ranking.split import split_users

GRID = tuple((m, t) for m in (1, 3, 5, 8) for t in (0.1, 0.2, 0.4) if m > 1 or t == 0.2)


def labels(clusters: Clusters, population: Population) -> np.ndarray:
    return np.array([clusters.members[i][0] for i in population.ids])


def without_self(
    values: np.ndarray, known: np.ndarray, own: np.ndarray, ids: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Weighted means of clusters' means [n, ...], each without the entity itself; `known` says which values exist."""
    k = int(max(own.max(), ids.max())) + 1
    sums, counts = np.zeros((k, *values.shape[1:])), np.zeros((k, *known.shape[1:]))
    np.add.at(sums, own, values * known)
    np.add.at(counts, own, known)
    mixed, total = np.zeros_like(values), np.zeros(known.shape)
    for place in range(ids.shape[1]):
        mine = (ids[:, place] == own).reshape(-1, *[1] * (values.ndim - 1))
        left = counts[ids[:, place]] - mine * known
        mean = (sums[ids[:, place]] - mine * values * known) / np.maximum(left, 1)
        share = weights[:, place].reshape(mine.shape) * (left > 0)
        mixed += share * mean
        total = total + share
    return mixed / np.maximum(total, 1e-9)


def correlation(one: np.ndarray, other: np.ndarray, known: np.ndarray, rows: np.ndarray) -> float:
    found = []
    for row in rows:
        both = known[row]
        if both.sum() > 5 and one[row][both].std() > 0 and other[row][both].std() > 0:
            found.append(np.corrcoef(one[row][both], other[row][both])[0, 1])
    return round(float(np.mean(found)), 4)


def anchors_of(
    population: Population, store: RecordedStore, training: set[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deviations f64[n, A] (0 where unknown), which are known, and rows of training users."""
    users = store.users()
    table = np.array(
        [[users[i].expectations.anchors.get(a, np.nan) for a in store.catalogue.anchors] for i in population.ids]
    )
    rows = np.flatnonzero([i in training for i in population.ids])
    table -= np.nanmean(table[rows], axis=0)
    table -= np.nanmean(table, axis=1, keepdims=True)
    known = ~np.isnan(table)
    return np.where(known, table, 0.0), known, rows


def of_users(population: Population, store: RecordedStore, training: set[str], ks: list[int]) -> dict:
    table, known, rows = anchors_of(population, store, training)
    shuffle = np.random.default_rng(0).permutation(len(table))
    found = {}
    for k in ks:
        clusters = cluster(population, "user", k, 0)
        own, grid = labels(clusters, population), {}
        for top_m, temperature in GRID:
            ids, weights = clusters.assign(population.vectors, top_m, temperature)
            mixed = without_self(table, known, own, ids, weights)
            grid["nearest" if top_m == 1 else f"{top_m}|{temperature}"] = correlation(mixed, table, known, rows)
            if (top_m, temperature) == (TOP_M, TEMPERATURE):
                grid["shuffled"] = correlation(mixed[shuffle], table, known, rows)
        found[str(k)] = {"smallest": int(clusters.counts.min()), "anchors": grid}
    return found


def of_items(population: Population, vectors: dict[str, np.ndarray], ks: list[int]) -> dict:
    table = np.stack([vectors[i] for i in population.ids]).astype(np.float64)
    known = (np.abs(table).sum(axis=2, keepdims=True) > 0).astype(float)
    shuffle = np.random.default_rng(0).permutation(len(table))
    factors, found = load_scenario("films").factors, {}
    for k in ks:
        clusters = cluster(population, "item", k, 0)
        ids, weights = clusters.assign(population.vectors)
        mixed = unit(without_self(table, known, labels(clusters, population), ids, weights))
        cosine = (mixed * table).sum(axis=2)
        other = (mixed[shuffle] * table).sum(axis=2)
        alone = unit(without_self(table, known, labels(clusters, population), ids[:, :1], np.ones((len(ids), 1))))
        found[str(k)] = {
            "smallest": int(clusters.counts.min()),
            "cosine": {name: round(float(cosine[:, f].mean()), 4) for f, name in enumerate(factors)}
            | {
                "mean": round(float(cosine.mean()), 4),
                "nearest": round(float((alone * table).sum(axis=2).mean()), 4),
                "shuffled": round(float(other.mean()), 4),
            },
            "quantiles": {
                q: round(float(np.quantile(cosine.mean(axis=1), float(q))), 4) for q in ("0.1", "0.5", "0.9")
            },
        }
    return found


def stand_in(population: Population, clusters: Clusters, store: RecordedStore) -> dict[int, ClusterKnowledge]:
    """For timing alone: the first member's recorded answer in place of the cluster's."""
    users, held = store.users(), {}
    for number in range(clusters.k):
        first = users[clusters.of(number)[0]]
        expectations = first.expectations or Expectations()
        held[number] = ClusterKnowledge(
            entity="user",
            cluster=number,
            clusters_version=clusters.version,
            size=int(clusters.counts[number]),
            factors=first.factors,
            expectations=expectations,
            mean_value=3.5,
            fed=(),
            model="stand-in",
            template_version="none",
            catalogue_version=store.catalogue_version,
            generated_at=RECORDED_AT,
        )
    return held


def speed(population: Population, store: RecordedStore, k: int) -> dict[str, float]:
    times = {}
    begin = time.process_time()
    clusters = cluster(population, "user", k, 0)
    times["cluster_cpu_s"] = round(time.process_time() - begin, 3)
    begin = time.process_time()
    for _ in range(5):
        memberships(clusters, population.vectors)
    times["assign_cpu_us_each"] = round((time.process_time() - begin) / 5 / len(population.ids) * 1e6, 2)
    held = stand_in(population, clusters, store)
    begin = time.process_time()
    assembled(held, clusters, population)
    times["assign_and_assemble_cpu_us_each"] = round((time.process_time() - begin) / len(population.ids) * 1e6, 1)
    return times | {"entities": len(population.ids), "k": k}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--k", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--data", type=Path, default=RankingSettings().movielens_dir)
    parser.add_argument("--encodings", type=Path, default=EncoderSettings().encodings_dir)
    chosen = parser.parse_args()
    data, settings = load(chosen.data), EncoderSettings(encodings_dir=chosen.encodings)
    store = RecordedStore.load()
    training = set(split_users(list(data.by_user())).train)
    users, items = populate("user", data, settings), populate("item", data, settings)
    vectors, _ = item_vectors(store, load_scenario("films"), settings)
    found = {
        "machine": platform.processor() or platform.machine(),
        "users": of_users(users, store, training, chosen.k),
        "items": of_items(items, vectors, chosen.k),
        "speed": speed(users, store, chosen.k[0]),
    }
    chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
