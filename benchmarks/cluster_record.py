"""An LLM's answers to `cluster_prompts.py` as recorded data, and that data read again.

    .venv/bin/python benchmarks/cluster_record.py --prompts FILE.jsonl --answers A.jsonl [B.jsonl ...] --out DATA.jsonl

A line of DATA is one cluster: `cluster`, `members` (ids), `mean_value` (users: the members' own mean), `factors`, and
for users `likes`, `dislikes` and `anchors` (in the catalogue's order, as in the other recorded data). Answers are
checked and mended as any answer of an LLM is. `ranking.evaluate.ablation_clusters` reads such data.
"""

import argparse
import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])


from benchmarks.cluster_answers import read_answers, rows
from benchmarks.cluster_prompts import populate
from encoders.cluster_files import load_clusters
from encoders.settings import EncoderSettings
from knowledge.catalogue import recorded_catalogue
from knowledge.recorded import RECORDED_MODEL
from ranking.datasets.movielens import load
from ranking.settings import RankingSettings


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
