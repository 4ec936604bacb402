"""What knowledge costs on MovieLens-100K: calls, tokens, money and time, by mode.

    .venv/bin/python benchmarks/knowledge.py --out FILE.json [--sample 6] [--price-in P --price-cached P --price-out P]

individual   one call for each of the 943 users (after their first `history_length` ratings) and of the 1,682 films
collective   one call for each cluster, k = 50, 100, 200 clusters of users, and of films
incremental  each user's next 20 events at the times of the data, refreshed by the policy with its default settings,
             beside five ways of asking for everything again (see `knowledge_counts.Counts.incremental`)
sample       real calls of the embedded LLM, with its shorter limits; wall and CPU time, what its prefix cache had
speed        clustering, assignment and assembly for one user (CPU time); encoder: texts a second

Tokens in are exact: every prompt, as an OpenAI-compatible server gets it (shortlist of 300), through the embedded
model's tokenizer. Cached: the first message from its second call on. Tokens out are those of recorded knowledge written
as the answer: of users and items, of the clusters (`recorded_answers` of them; where one is missing, a central member's
stands in), and for incremental two bounds: the user's newest recorded answer whole, as if every factor had been
rewritten, and without factors. Prices are examples, money for a million tokens.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Run as a script, this file would stand for the room of the same name.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.collective import speed
from benchmarks.knowledge_counts import Counts
from benchmarks.knowledge_material import Material, vectors_of
from benchmarks.knowledge_sample import ask, encoder_speed
from benchmarks.knowledge_tokens import Prices, Tokenizer
from encoders.settings import EncoderSettings
from ranking.datasets.movielens import load
from ranking.settings import RankingSettings
from reki.embedded import llm
from streams.settings import StreamSettings

KS = (50, 100, 200)


def measure(material: Material, prices: Prices, sample: int, folder: Path) -> dict[str, Any]:
    took: dict[str, float] = {}

    def timed(name: str, begin: float) -> None:
        took[name] = round(time.monotonic() - begin, 1)
        print(f"{name}: {took[name]} s", file=sys.stderr, flush=True)

    with llm.start(folder) as server:
        tokenizer = Tokenizer(server.base_url)
        counts = Counts(tokenizer, material, prices)
        begin = time.monotonic()
        individual = counts.individual()
        timed("individual", begin)
        begin = time.monotonic()
        collective = counts.collective(KS)
        timed("collective", begin)
        begin = time.monotonic()
        incremental = counts.incremental(vectors_of(material), StreamSettings())
        timed("incremental", begin)
        counts.check()
        begin = time.monotonic()
        asked = asyncio.run(ask(material, server, folder / "answers", sample, 2)) if sample else {}
        timed("sample", begin)
    return {
        "individual": individual,
        "collective": collective,
        "incremental": incremental,
        "ratios": ratios(individual, collective, incremental),
        "sample": asked,
        "hours_estimate": hours(asked, individual, collective, incremental),
        "speed": {str(k): speed(material.populations["user"], material.store, k) for k in KS},
        "encoder": encoder_speed(material),
        "counting_took_s": took,
    }


def ratios(individual: dict[str, Any], collective: dict[str, Any], incremental: dict[str, Any]) -> dict[str, Any]:
    """How many times fewer than regenerating everyone one by one: all tokens, tokens that are computed, money."""
    found: dict[str, Any] = {}
    for entity, by_k in collective.items():
        for k, told in by_k.items():
            found[f"collective {entity} k={k}"] = {
                f"individual {entity}": _times(individual[entity], told),
                # A cluster's call costs as much however many share it: with so many members it is a twentieth.
                "members_for_20x": round(20 * _each(told) / _each(individual[entity]), 1),
            }
    baselines = ("each_event", "policy_full", "nightly_changed", "nightly_everyone", "once")
    for name in ("incremental_all_factors_rewritten", "incremental_no_factor_rewritten"):
        found[name] = {other: _times(incremental[other], incremental[name]) for other in baselines}
    for k, told in collective["users"].items():
        found[f"collective users k={k}, asked once"] = {o: _times(incremental[o], told) for o in baselines}
    return found


def _times(dear: dict[str, Any], cheap: dict[str, Any]) -> dict[str, float]:
    return {part: round(dear[part] / cheap[part], 2) for part in ("tokens", "tokens_computed", "money")}


def _each(told: dict[str, Any]) -> float:
    return float(told["tokens"] / told["calls"])


def hours(asked: dict[str, Any], *modes: dict[str, Any]) -> dict[str, float]:
    """Hours that one core of the embedded LLM computes for all calls, at the sample's CPU time a call.

    An extrapolation: the embedded LLM's prompts are shorter than those that are counted.
    """
    individual, collective, incremental = modes
    calls = {"individual users": ("users", individual["users"]), "individual items": ("items", individual["items"])}
    calls |= {f"collective users k={k}": ("user_clusters", told) for k, told in collective["users"].items()}
    calls |= {f"collective items k={k}": ("item_clusters", told) for k, told in collective["items"].items()}
    calls["incremental"] = ("incremental", incremental["incremental_all_factors_rewritten"])
    found = {}
    for name, (kind, told) in calls.items():
        each = asked.get(kind, {}).get("cpu_s_later")
        if each:
            found[name] = round(told["calls"] * each / 3600, 2)
    return found


def table(found: dict[str, Any]) -> str:
    rows = [("individual users", found["individual"]["users"]), ("individual items", found["individual"]["items"])]
    rows += [(f"collective {e} k={k}", told) for e, by_k in found["collective"].items() for k, told in by_k.items()]
    rows += [(name, told) for name, told in found["incremental"].items() if name != "replay"]
    lines = [f"{'':36}{'calls':>9}{'in':>14}{'cached':>14}{'out':>12}{'money':>10}"]
    lines += [
        f"{name:36}{t['calls']:>9,}{t['tokens_in']:>14,}{t['tokens_cached']:>14,}{t['tokens_out']:>12,}{t['money']:>10,.2f}"
        for name, t in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=6, help="users, and items, that the embedded LLM is asked about")
    parser.add_argument("--price-in", type=float, default=0.40)
    parser.add_argument("--price-cached", type=float, default=0.10)
    parser.add_argument("--price-out", type=float, default=1.60)
    parser.add_argument("--data", type=Path, default=RankingSettings().movielens_dir)
    parser.add_argument("--encodings", type=Path, default=EncoderSettings().encodings_dir)
    chosen = parser.parse_args()
    prices = Prices(chosen.price_in, chosen.price_cached, chosen.price_out)
    begin, load_before = time.monotonic(), os.getloadavg()[0]
    material = Material.of(load(chosen.data), EncoderSettings(encodings_dir=chosen.encodings))
    with tempfile.TemporaryDirectory() as folder:
        found = measure(material, prices, chosen.sample, Path(folder))
    found |= {
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "load": load_before},
        "prices_a_million": vars(prices),
        "seconds": round(time.monotonic() - begin, 1),
    }
    chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: found[key] for key in found if key not in ("individual", "collective")}, indent=1))
    print(table(found))


if __name__ == "__main__":
    main()
