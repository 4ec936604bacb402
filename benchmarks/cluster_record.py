"""An LLM's answers to `cluster_prompts.py` as recorded data, and that data read again.

    .venv/bin/python benchmarks/cluster_record.py --prompts FILE.jsonl --answers A.jsonl [B.jsonl ...] --out DATA.jsonl

A line of DATA is one cluster: `cluster`, `members` (ids), `mean_value` (users: the members' own mean), `factors`, and
for users `likes`, `dislikes` and `anchors` (in the catalogue's order, as in the other recorded data). Answers are
checked and mended as any answer of an LLM is. `recorded_clusters` needs no prompt and no particular clustering: its
centroids are the means of the members named, so that another machine's last bit moves nobody to another cluster.
"""

import argparse
import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks.cluster_answers import read_answers, rows
from benchmarks.cluster_prompts import Population, populate
from encoders.balance import means
from encoders.cluster_files import load_clusters
from encoders.clusters import Clusters
from encoders.representation import unit
from encoders.settings import EncoderSettings
from knowledge.base import Expectations
from knowledge.catalogue import recorded_catalogue
from knowledge.collective import ClusterKnowledge
from knowledge.recorded import RECORDED_AT, RECORDED_MODEL
from ranking.datasets.movielens import load
from ranking.settings import RankingSettings

DATA = Path(__file__).resolve().parents[1] / "knowledge" / "data" / "ml-100k" / "clusters"
TEMPLATE = "recorded-clusters-1"


def recorded_clusters(entity: str, k: int, population: Population) -> tuple[Clusters, dict[int, ClusterKnowledge]]:
    """The recorded clusters of `user` or `item`, and what was said of each."""
    lines = rows(DATA / f"{entity}s-{k}.jsonl")
    label = {member: line["cluster"] for line in lines for member in line["members"]}
    labels = np.array([label[i] for i in population.ids], dtype=np.int64)
    centre = population.vectors.astype(np.float64).mean(axis=0).astype(np.float32)
    placed = unit(population.vectors - centre)
    centroids = unit(means(placed.astype(np.float64), labels, k).astype(np.float32))
    counts = np.bincount(labels, minlength=k).astype(np.int64)
    similar = placed @ centroids.T
    own = similar[np.arange(len(labels)), labels].astype(np.float64)
    quality = (np.bincount(labels, weights=own, minlength=k) / np.maximum(counts, 1)).astype(np.float32)
    nearest = similar.argmax(axis=1).tolist()
    places = {i: (int(mine), near) for i, mine, near in zip(population.ids, labels, nearest, strict=True)}
    clusters = Clusters(entity, population.representation, 0, centre, centroids, counts, quality, places)
    return clusters, {line["cluster"]: _held(entity, line, clusters.version) for line in lines}


def _held(entity: str, line: dict, version: str) -> ClusterKnowledge:
    catalogue, expectations = recorded_catalogue(), None
    if entity == "user":
        anchors = {i: v for i, v in zip(catalogue.anchors, line["anchors"], strict=True) if v is not None}
        expectations = Expectations(likes=line["likes"], dislikes=line["dislikes"], anchors=anchors)
    return ClusterKnowledge(
        entity=entity,
        cluster=line["cluster"],
        clusters_version=version,
        size=len(line["members"]),
        factors=line["factors"],
        expectations=expectations,
        mean_value=line.get("mean_value"),
        fed=line["members"],
        model=RECORDED_MODEL,
        template_version=TEMPLATE,
        catalogue_version=catalogue.version,
        generated_at=RECORDED_AT,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--answers", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=RankingSettings().movielens_dir)
    parser.add_argument("--encodings", type=Path, default=EncoderSettings().encodings_dir)
    chosen = parser.parse_args()
    version = rows(chosen.prompts)[0]["clusters_version"]
    clusters = load_clusters(chosen.prompts.with_suffix(".clusters") / version)
    data = load(chosen.data)
    population = populate(clusters.entity, data, EncoderSettings(encodings_dir=chosen.encodings))
    answers = {int(row["cluster"]): row["answer"] for file in chosen.answers for row in rows(file)}
    titles = {item_id: profile.title for item_id, profile in data.items.items()}
    held, repairs, failed = read_answers(answers, clusters, population, titles, RECORDED_MODEL)
    lines = []
    for number, known in sorted(held.items()):
        line = {"cluster": number, "members": list(known.fed), "factors": known.factors}
        if known.expectations is not None:
            expected = known.expectations
            line["mean_value"] = round(known.mean_value or 0.0, 3)
            line["likes"], line["dislikes"] = list(expected.likes), list(expected.dislikes)
            line["anchors"] = [expected.anchors.get(i) for i in recorded_catalogue().anchors]
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text("".join(lines), encoding="utf-8")
    print(json.dumps({"clusters": len(held), "failed": failed, "repairs": repairs}, indent=1))


if __name__ == "__main__":
    main()
