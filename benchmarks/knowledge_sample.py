"""What is measured and not counted: the embedded LLM asked about a few entities, and the sentence encoder."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.knowledge_material import Material
from benchmarks.knowledge_tokens import Tokenizer
from encoders.sentence import SentenceEncoder
from knowledge.base import Knowledge, RekiError
from knowledge.cache import AnswerCache
from knowledge.catalogue import recorded_catalogue
from knowledge.client import LlmClient
from knowledge.collective import EMBEDDED_GROUP_LIMITS, CollectiveSource, cluster_prompt
from knowledge.prompts import EMBEDDED_LIMITS, item_prompt, user_prompt
from knowledge.settings import KnowledgeSettings
from reki.embedded.llm import LlmServer

_CLUSTERS = 50
_NEW = 10
_ROUNDS = 3


async def ask(material: Material, server: LlmServer, folder: Path, users: int, clusters: int) -> dict[str, Any]:
    """Real calls, one at a time: `users` users and as many items, `clusters` of each kind, a third of the users again.

    Tokens are those of the server's own count (`usage`), with what its prefix cache had. `counted` is what
    `knowledge_tokens` counts for the same prompts. Prompts have the embedded LLM's limits and shortlist of 60. `cpu_s`
    is the server's CPU time, which others on the machine do not lengthen much; the model computes in half of the cores.
    """
    base_url = server.base_url

    settings = KnowledgeSettings(
        llm="embedded", llm_base_url=base_url, llm_concurrency=1, llm_deadline_s=300, knowledge_cache_dir=folder
    )
    catalogue = recorded_catalogue().trimmed(settings.shortlist_size)
    client, cache = LlmClient(settings), AnswerCache(settings.knowledge_cache_dir)
    source = CollectiveSource(
        client,
        material.scenario,
        catalogue,
        material.titles,
        cache,
        limits=EMBEDDED_LIMITS,
        group_limits=EMBEDDED_GROUP_LIMITS,
    )
    tokenizer, scenario, titles = Tokenizer(base_url), material.scenario, material.titles
    found: dict[str, Any] = {}
    chosen = [user_id for user_id, known in material.known.items() if known >= _NEW][:users]
    first = [material.request(user_id, material.known[user_id]) for user_id in chosen]
    prompts = [user_prompt(scenario, catalogue, titles, one, EMBEDDED_LIMITS) for one in first]
    found["users"], answers = await timed(server.pid, source.user, first)
    found["users"]["counted_in"] = sum(map(tokenizer.whole, prompts))
    again = [
        replace(
            material.request(one.user_id, one.source_rev + _NEW),
            previous=answer,
            new_events=_NEW,
        )
        for one, answer in list(zip(first, answers, strict=True))[: max(1, users // 3)]
        if isinstance(answer, Knowledge) and len(material.histories[one.user_id]) >= one.source_rev + _NEW
    ]
    found["incremental"], _ = await timed(server.pid, source.user, again)
    items = list(material.data.items.values())[:users]
    found["items"], _ = await timed(server.pid, source.item, items)
    prompts = [item_prompt(scenario, one, EMBEDDED_LIMITS) for one in items]
    found["items"]["counted_in"] = sum(map(tokenizer.whole, prompts))
    for entity in ("user", "item"):
        requests = material.clusters(entity, _CLUSTERS)[1][:clusters]
        prompts = [cluster_prompt(scenario, catalogue, titles, one, EMBEDDED_GROUP_LIMITS) for one in requests]
        told, _ = await timed(server.pid, source.cluster, requests)
        found[f"{entity}_clusters"] = told | {"counted_in": sum(map(tokenizer.whole, prompts))}
    await source.close()
    return found | {"new_events": _NEW, "shortlist": len(catalogue.shortlist)}


async def timed(
    pid: int, call: Callable[[Any], Awaitable[Any]], asked: Iterable[Any]
) -> tuple[dict[str, Any], list[Any]]:
    """Ask one after the other; what it took, and the answers (None: it could not be used)."""
    seconds, used, answers, failed = [], [], [], 0
    for one in asked:
        begin, before = time.monotonic(), cpu_seconds(pid)
        try:
            extraction = await call(one)
        except RekiError:
            failed += 1  # its tokens are lost to this count
            answers.append(None)
            continue
        seconds.append(time.monotonic() - begin)
        used.append(cpu_seconds(pid) - before)
        answers.append(extraction.knowledge)
        await asyncio.sleep(0)
    good = [one for one in answers if one is not None]
    told = {
        "calls": len(answers),
        "failed": failed,
        "tokens_in": sum(one.tokens_in for one in good),
        "tokens_cached": sum(one.tokens_cached for one in good),
        "tokens_out": sum(one.tokens_out for one in good),
        "wall_s": [round(one, 1) for one in seconds],
        "cpu_s": [round(one, 1) for one in used],
        # The first call fills the prefix cache; where there was only one, the cache was warm already.
        "cpu_s_later": round(float(np.mean(used[1:] or used)), 2) if used else None,
    }
    return told, answers


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def encoder_speed(material: Material, texts: int = 512, seed: int = 0) -> dict[str, Any]:
    """Texts a second of the sentence encoder on a drawn sample of recorded texts, without its cache."""
    import torch

    held = [text for one in material.store.items().values() for text in one.values()]
    held += [text for one in material.store.users().values() for text in one.factors.values()]
    rows = np.random.default_rng(seed).choice(len(held), size=texts, replace=False)
    sample, encoder = [held[row] for row in rows], SentenceEncoder(material.settings.encoder_id)
    encoder.encode(sample[:64])
    before, found = torch.get_num_threads(), {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        took, used = [], time.process_time()
        for _ in range(_ROUNDS):  # the best of them: others work on the machine, too
            begin = time.monotonic()
            encoder.encode(sample)
            took.append(time.monotonic() - begin)
        found[str(threads)] = {
            "texts_a_s_best": round(texts / min(took), 1),
            "texts_a_s_mean": round(texts * len(took) / sum(took), 1),
            "texts_a_cpu_s": round(texts * len(took) / (time.process_time() - used), 1),
        }
    torch.set_num_threads(before)
    return {
        "encoder": encoder.encoder_id,
        "texts": texts,
        "mean_characters": round(float(np.mean([len(text) for text in sample])), 1),
        "threads": found,
    }
