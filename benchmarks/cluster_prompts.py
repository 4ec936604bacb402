"""The prompts of collective extraction on MovieLens-100K, one JSON line per cluster, for any LLM to answer.

    .venv/bin/python benchmarks/cluster_prompts.py --entity users|items --k K --out FILE.jsonl [--data FOLDER]

Users are clustered by their experienced vectors (sums of the recorded item knowledge of what they liked and disliked)
over their first `history_length` ratings, items by the encoding of title and genres: no user's later rating, nor any
recorded knowledge of users, is read. A line has `entity`, `cluster`, `clusters_version`, `members` (how many),
`template_version`, `prompt_hash`, `messages` (exact), `schema`, `allowed` (ids that likes and dislikes may name) and
`anchors`. Beside it FILE.clusters/ keeps the clusters for `cluster_answers.py`: no LLM needs to see it.
"""

import argparse
import json
import sys
from pathlib import Path

# Run as a script, this file's folder comes first on the path, where its neighbours would be taken for our packages.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from encoders.cluster_files import write_clusters
from encoders.clusters import Clusters, build_clusters, members_allowed
from encoders.collective import cluster_requests
from encoders.condense import encode_factors
from encoders.hein import Hein, HeinShape, centre
from encoders.representation import title_representation
from encoders.sentence import SentenceEncoder
from encoders.settings import EncoderSettings
from encoders.text_cache import EncodingCache
from knowledge.catalogue import recorded_catalogue
from knowledge.collective import ClusterMember, ClusterRequest, cluster_prompt
from knowledge.recorded import RecordedStore
from knowledge.scenario import Scenario, load_scenario
from ranking.datasets.movielens import MovieLens, load
from ranking.evaluate.ablation_clusters import Population, users
from ranking.settings import RankingSettings


def item_vectors(store: RecordedStore, scenario: Scenario, settings: EncoderSettings) -> tuple[dict, str]:
    """Recorded item texts as f32[F, d], projected to their own principal axes: needs no ratings and no release."""
    import torch

    encoder, cache = SentenceEncoder(settings.encoder_id), EncodingCache(settings.encodings_dir)
    texts = store.items()
    vectors, mask = (
        torch.from_numpy(a) for a in encode_factors(list(texts.values()), scenario.factors, encoder, cache)
    )
    hein = Hein(HeinShape(factors=len(scenario.factors), text_dim=vectors.shape[2]))
    hein.fit_space(vectors, mask, vectors[:0], mask[:0])
    with torch.inference_mode():
        projected = hein.project(centre(vectors, hein.item_mean, mask)).numpy()
    return dict(zip(texts, projected, strict=True)), encoder.encoder_id


def items(data: MovieLens, settings: EncoderSettings) -> Population:
    encoder, cache = SentenceEncoder(settings.encoder_id), EncodingCache(settings.encodings_dir)
    profiles = list(data.items.values())
    members = {p.item_id: ClusterMember(p.item_id, p.fields, title=p.title) for p in profiles}
    vectors = title_representation(profiles, encoder, cache)
    return Population([p.item_id for p in profiles], vectors, members, f"title_genres|{encoder.encoder_id}")


def line(request: ClusterRequest, data: MovieLens, scenario: Scenario) -> dict[str, object]:
    catalogue = recorded_catalogue()
    prompt = cluster_prompt(scenario, catalogue, {i: p.title for i, p in data.items.items()}, request)
    named = request.entity == "user"
    return {
        "entity": request.entity,
        "cluster": request.cluster,
        "clusters_version": request.clusters_version,
        "members": len(request.members),
        "template_version": prompt.template_version,
        "prompt_hash": prompt.hash,
        "messages": prompt.messages,
        "schema": prompt.schema,
        "allowed": list(catalogue.shortlist) if named else [],
        "anchors": list(catalogue.anchors) if named else [],
    }


def populate(entity: str, data: MovieLens, settings: EncoderSettings) -> Population:
    if entity == "item":
        return items(data, settings)
    scenario = load_scenario("films")
    return users(data, scenario, *item_vectors(RecordedStore.load(), scenario, settings))


def cluster(population: Population, entity: str, k: int, seed: int) -> Clusters:
    return build_clusters(
        population.ids,
        population.vectors,
        k,
        entity=entity,
        representation=population.representation,
        min_members=members_allowed(len(population.ids), k),
        seed=seed,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--entity", choices=("users", "items"), required=True)
    parser.add_argument("--k", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=RankingSettings().movielens_dir)
    parser.add_argument("--encodings", type=Path, default=EncoderSettings().encodings_dir)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    data, entity = load(chosen.data), chosen.entity.removesuffix("s")
    population = populate(entity, data, EncoderSettings(encodings_dir=chosen.encodings))
    clusters = cluster(population, entity, chosen.k, chosen.seed)
    least = members_allowed(len(population.ids), chosen.k)
    requests = cluster_requests(clusters, population.ids, population.vectors, population.members)
    lines = [line(request, data, load_scenario("films")) for request in requests]
    chosen.out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in lines), encoding="utf-8")
    write_clusters(chosen.out.with_suffix(".clusters"), clusters)
    tokens = [sum(len(message["content"]) for message in row["messages"]) // 4 for row in lines]
    print(
        json.dumps(
            {
                "entity": entity,
                "entities": len(population.ids),
                "k": clusters.k,
                "clusters_version": clusters.version,
                "min_members": least,
                "min_members_lowered": least < 20,
                "members_smallest": int(clusters.counts.min()),
                "members_largest": int(clusters.counts.max()),
                "mean_cosine_to_centroid": round(
                    float((clusters.quality * clusters.counts).sum() / clusters.counts.sum()), 4
                ),
                "prompt_tokens_about": {"mean": round(float(np.mean(tokens))), "most": max(tokens)},
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
