"""Ask an LLM about clusters, with the same client, cache and rules as about single users and items."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from knowledge.answers import ReadAnswer
from knowledge.base import Clock
from knowledge.cache import AnswerCache
from knowledge.catalogue import Catalogue
from knowledge.collective.prompt import GROUP_LIMITS, cluster_prompt
from knowledge.collective.records import ClusterKnowledge, ClusterRequest, read_cluster
from knowledge.live import LiveSource, Llm, known
from knowledge.prompts.parts import Limits
from knowledge.scenario import Scenario


@dataclass(frozen=True)
class ClusterExtraction:
    """An answer, whether it cost a call, and what was mended in it (counted in the meter only if it cost one)."""

    knowledge: ClusterKnowledge
    called: bool
    repairs: Counter[str]


class CollectiveSource(LiveSource):
    """A live source that also answers about clusters; `group_limits` are the caps of their prompts."""

    def __init__(
        self,
        client: Llm,
        scenario: Scenario,
        catalogue: Catalogue,
        titles: Mapping[str, str],
        cache: AnswerCache,
        *,
        limits: Limits | None = None,
        group_limits: Limits = GROUP_LIMITS,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(client, scenario, catalogue, titles, cache, limits=limits, clock=clock)
        self._group_limits = group_limits

    async def cluster(self, request: ClusterRequest) -> ClusterExtraction:
        """Knowledge about one cluster, from one call or from the cache; raises what `LiveSource.user` raises."""
        limits = self._group_limits
        titles = await self._told()
        catalogue = known(self._catalogue, titles) if request.entity == "user" else self._catalogue
        # In a thread: counting the opinions of a large cluster takes its time.
        prompt = await asyncio.to_thread(cluster_prompt, self._scenario, catalogue, titles, request, limits)
        purpose = f"{request.entity}_cluster"
        answer, key, called = await self._ask(prompt, purpose)
        knowledge, repairs = read_cluster(request, prompt, answer, self._scenario, catalogue, limits, key)
        if called:
            content = ReadAnswer(knowledge.factors, knowledge.expectations, repairs)
            await self._keep(key, answer, content, purpose)
        return ClusterExtraction(knowledge, called, repairs)
