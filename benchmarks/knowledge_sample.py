"""What is measured and not counted: the embedded LLM asked about a few entities, and the sentence encoder."""

import asyncio
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

_CLUSTERS = 50
_NEW = 10
_ROUNDS = 3


async def ask(material: Material, base_url: str, folder: Path, users: int, clusters: int) -> dict[str, Any]:
    """Real calls, one at a time: `users` users and as many items, `clusters` of each kind, a third of the users again.

    Tokens are those of the server's own count (`usage`), with what its prefix cache had. `counted` is what
    `knowledge_tokens` counts for the same prompts. Prompts have the embedded LLM's limits and shortlist of 60.
    """
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
    found["users"], answers = await _timed(source.user, first)
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
    found["incremental"], _ = await _timed(source.user, again)
    items = list(material.data.items.values())[:users]
    found["items"], _ = await _timed(source.item, items)
    prompts = [item_prompt(scenario, one, EMBEDDED_LIMITS) for one in items]
    found["items"]["counted_in"] = sum(map(tokenizer.whole, prompts))
    for entity in ("user", "item"):
        requests = material.clusters(entity, _CLUSTERS)[1][:clusters]
        prompts = [cluster_prompt(scenario, catalogue, titles, one, EMBEDDED_GROUP_LIMITS) for one in requests]
        told, _ = await _timed(source.cluster, requests)
        found[f"{entity}_clusters"] = told | {"counted_in": sum(map(tokenizer.whole, prompts))}
    await source.close()
    return found | {"new_events": _NEW, "shortlist": len(catalogue.shortlist)}


async def _timed(call: Callable[[Any], Awaitable[Any]], asked: Iterable[Any]) -> tuple[dict[str, Any], list[Any]]:
    seconds, answers, failed = [], [], 0
    for one in asked:
        begin = time.monotonic()
        try:
            extraction = await call(one)
        except RekiError:
            failed += 1  # the small model's answer could not be used; its tokens are lost to this count
            answers.append(None)
            continue
        seconds.append(time.monotonic() - begin)
        answers.append(extraction.knowledge)
        await asyncio.sleep(0)
    good = [one for one in answers if one is not None]
    told = {
        "calls": len(answers),
        "failed": failed,
        "tokens_in": sum(one.tokens_in for one in good),
        "tokens_cached": sum(one.tokens_cached for one in good),
        "tokens_out": sum(one.tokens_out for one in good),
        "seconds_first": round(seconds[0], 2) if seconds else None,
        "seconds_later": round(float(np.mean(seconds[1:])), 2) if seconds[1:] else None,
        "seconds": round(sum(seconds), 1),
    }
    return told, answers


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
        took = []
        for _ in range(_ROUNDS):  # the best of them: others work on the machine, too
            begin = time.monotonic()
            encoder.encode(sample)
            took.append(time.monotonic() - begin)
        found[str(threads)] = {
            "texts_a_s_best": round(texts / min(took), 1),
            "texts_a_s_mean": round(texts * len(took) / sum(took), 1),
        }
    torch.set_num_threads(before)
    return {
        "encoder": encoder.encoder_id,
        "texts": texts,
        "mean_characters": round(float(np.mean([len(text) for text in sample])), 1),
        "threads": found,
    }
