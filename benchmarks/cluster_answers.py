"""An LLM's answers to `cluster_prompts.py`, assembled into collective knowledge of every user or item.

    .venv/bin/python benchmarks/cluster_answers.py --prompts FILE.jsonl --answers ANSWERS.jsonl --out KNOWLEDGE.jsonl

A line of ANSWERS is {"cluster": 3, "answer": {...}}, the answer as the prompt's schema wants it. A line of KNOWLEDGE is
one record (`knowledge.base.Knowledge`, mode collective) in order of the entities' numbers: for users from their first
`history_length` ratings, with `source_rev` = how many these are, so that it can take the place of the recorded one.
Answers that are missing or cannot be read are named; their members get what their other clusters say.
"""

import argparse
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.cluster_prompts import Population, populate
from encoders.cluster_files import load_clusters
from encoders.clusters import Clusters
from encoders.collective import cluster_requests
from encoders.settings import EncoderSettings
from knowledge.base import TerminalError
from knowledge.cache import CachedAnswer
from knowledge.catalogue import recorded_catalogue
from knowledge.collective import (
    GROUP_LIMITS,
    ClusterKnowledge,
    cluster_prompt,
    read_cluster,
)
from knowledge.scenario import load_scenario
from knowledge.schema import violations
from ranking.datasets.movielens import load
from ranking.evaluate.ablation_clusters import assembled
from ranking.settings import RankingSettings


def rows(path: Path) -> list[dict]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text.strip()]


def read_answers(
    answers: dict[int, dict], clusters: Clusters, population: Population, titles: dict[str, str], model: str
) -> tuple[dict[int, ClusterKnowledge], Counter[str], dict[int, str]]:
    """Knowledge by cluster, repairs by reason, and the clusters without a usable answer with why."""
    scenario, catalogue = load_scenario("films"), recorded_catalogue()
    held, repairs, failed = {}, Counter(), {}
    for request in cluster_requests(clusters, population.ids, population.vectors, population.members):
        prompt = cluster_prompt(scenario, catalogue, titles, request)
        data = answers.get(request.cluster)
        wrong = ["no answer"] if data is None else violations(data, prompt.schema)
        if wrong:
            failed[request.cluster] = wrong[0]
            continue
        answer = CachedAnswer(data, model, datetime(2026, 11, 1, tzinfo=UTC), 0, 0, 0)
        try:
            held[request.cluster], mended = read_cluster(
                request, prompt, answer, scenario, catalogue, GROUP_LIMITS, prompt.hash
            )
        except TerminalError as error:
            failed[request.cluster] = error.message
            continue
        repairs += mended
    return held, repairs, failed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=Path, required=True, help="FILE.jsonl; FILE.clusters/ stands beside it")
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="recorded-llm", help="who answered")
    parser.add_argument("--data", type=Path, default=RankingSettings().movielens_dir)
    parser.add_argument("--encodings", type=Path, default=EncoderSettings().encodings_dir)
    chosen = parser.parse_args()
    first = rows(chosen.prompts)[0]
    clusters = load_clusters(chosen.prompts.with_suffix(".clusters") / first["clusters_version"])
    data = load(chosen.data)
    population = populate(clusters.entity, data, EncoderSettings(encodings_dir=chosen.encodings))
    titles = {item_id: profile.title for item_id, profile in data.items.items()}
    answers = {int(row["cluster"]): row["answer"] for row in rows(chosen.answers)}
    held, repairs, failed = read_answers(answers, clusters, population, titles, chosen.model)
    made = assembled(held, clusters, population)
    chosen.out.write_text("".join(knowledge.model_dump_json() + "\n" for knowledge in made), encoding="utf-8")
    print(json.dumps({"clusters": len(held), "failed": failed, "repairs": repairs, "records": len(made)}, indent=1))


if __name__ == "__main__":
    main()
