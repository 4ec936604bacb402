"""Knowledge from an LLM: prompt, cached answer or call, records. One individual extraction at a time."""

import asyncio
import logging
import re
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from knowledge.answers import Answer, ReadAnswer, read_factors, read_user
from knowledge.base import Clock, ItemProfile, Knowledge, KnowledgeMode, SystemClock, TerminalError, TransientError
from knowledge.cache import AnswerCache, CachedAnswer
from knowledge.catalogue import RECORDED_CATALOGUE_VERSION, Catalogue
from knowledge.echo import EchoCheck
from knowledge.incremental import with_changes
from knowledge.meter import Meter
from knowledge.prompt_index import PromptIndex
from knowledge.prompts import Limits, Prompt, item_prompt, retrieved_items, user_prompt
from knowledge.requests import Extraction, UserRequest
from knowledge.scenario import Scenario
from knowledge.schema import violations
from knowledge.text import is_blank

NO_CATALOGUE = "none"  # items' texts depend on no catalogue

log = logging.getLogger(__name__)


class Llm(Protocol):
    """What is needed of `client.LlmClient`."""

    meter: Meter

    async def complete(self, prompt: Prompt, purpose: str) -> Answer:
        """Ask."""
        ...

    def cache_key(self, prompt: Prompt) -> str:
        """Name the answer."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


class LiveSource:
    """A `KnowledgeSource` that asks an LLM.

    `titles` maps the catalogue's items to their (untrusted) titles; it is read in another thread, by one at a time.
    """

    def __init__(
        self,
        client: Llm,
        scenario: Scenario,
        catalogue: Catalogue,
        titles: Mapping[str, str],
        cache: AnswerCache,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.meter = client.meter
        self._client = client
        self._scenario = scenario
        self._catalogue = catalogue
        self._titles = titles
        self._cache = cache
        self._index = PromptIndex(cache)
        self._limits = limits or Limits()
        self._clock = clock or SystemClock()
        self._looking = asyncio.Lock()

    async def user(self, request: UserRequest) -> Extraction:
        """Factor texts and expectations from one call, or from the cache if this prompt was answered before."""
        asked_at = datetime.now(UTC)
        titles = await self._told()
        catalogue = known(self._catalogue, titles)
        prompt = user_prompt(self._scenario, catalogue, titles, request, self._limits)
        touched = {entry.item_id for entry in request.history}
        retrieved = retrieved_items(catalogue, titles, request, self._limits)
        answer, key, called = await self._ask(prompt, "user")
        content = read_user(
            answer.data,
            self._scenario,
            catalogue,
            touched,
            self._limits,
            echo=_echo_check(prompt, {request.user_id, *touched, *catalogue.shortlist, *retrieved}),
            kept=request.previous.factors if request.incremental and request.previous is not None else None,
            retrieved=retrieved,
        )
        knowledge = Knowledge(
            entity="user",
            entity_id=request.user_id,
            factors=content.factors,
            expectations=content.expectations,
            catalogue_version=catalogue.version,
            source_rev=request.source_rev,
            source_through=request.source_through,
            **_provenance(answer, prompt),
        )
        if called:  # after the record: an answer of which none can be made must not come back from the cache
            await self._keep(key, answer, content, "user", (request.user_id, asked_at))
        return Extraction(with_changes(knowledge, request.previous), key, called)

    async def item(self, profile: ItemProfile) -> Extraction:
        """Factor texts of one item; raises `TerminalError` (`no_title`) rather than ask about nothing."""
        if is_blank(profile.title):
            raise TerminalError("no_title", f"item {profile.item_id} has no title: nothing can be asked about it")
        prompt = item_prompt(self._scenario, profile, self._limits)
        answer, key, called = await self._ask(prompt, "item")
        factors, repairs = read_factors(
            answer.data, self._scenario, self._limits, echo=_echo_check(prompt, {profile.item_id})
        )
        knowledge = Knowledge(
            entity="item",
            entity_id=profile.item_id,
            factors=factors,
            catalogue_version=NO_CATALOGUE,
            source_rev=0,
            **_provenance(answer, prompt),
        )
        if called:
            await self._keep(key, answer, ReadAnswer(factors, None, repairs), "item")
        return Extraction(knowledge, key, called)

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def _told(self) -> dict[str, str]:
        """The titles now."""
        async with self._looking:
            # A copy, from a thread: the titles may come from a store, and more of them at any moment. Prompt and
            # reader of the answer must know the same items.
            titles = await asyncio.to_thread(dict, self._titles)
        return {item_id: title for item_id, title in titles.items() if not is_blank(title)}

    async def _ask(self, prompt: Prompt, purpose: str) -> tuple[CachedAnswer, str, bool]:
        """(answer, its name in the cache, whether it cost a call)."""
        key = self._client.cache_key(prompt)
        # Files in a thread: a slow disk must not hold up the event loop's heartbeats.
        kept = await asyncio.to_thread(self._cache.get, key)
        if kept is not None and not violations(kept.data, prompt.schema):
            self.meter.of(purpose).cache_hits += 1
            return kept, key, False
        answer = await self._client.complete(prompt, purpose)
        fresh = CachedAnswer(
            data=answer.data,
            model=_name(answer.model),
            generated_at=self._clock.now(),
            tokens_in=answer.tokens_in,
            tokens_cached=answer.tokens_cached,
            tokens_out=answer.tokens_out,
        )
        return fresh, key, True

    async def _keep(
        self,
        key: str,
        answer: CachedAnswer,
        content: ReadAnswer,
        purpose: str,
        about: tuple[str, datetime] | None = None,
    ) -> None:
        """Cache an answer that could be read, and count its repairs once, however often it is read again.

        `about`: the user, and since when the answer was on its way: it is not kept where they were forgotten since.
        """
        usage = self.meter.of(purpose)
        usage.repairs.update(content.repairs)
        try:
            if about is None:
                await asyncio.to_thread(self._cache.put, key, answer)
            else:
                await asyncio.to_thread(self._index.keep, about[0], key, answer, about[1])
        except TransientError as error:
            # The answer is paid for and good: losing it over a full disk would pay again for every retry.
            usage.failures[error.reason] += 1
            log.warning("%s", error.message)


def known(catalogue: Catalogue, titles: Container[str]) -> Catalogue:
    """`Catalogue.known`, whose error says whose items they are where nobody named a catalogue."""
    try:
        return catalogue.known(titles)
    except TerminalError as error:
        if not catalogue.version.startswith(RECORDED_CATALOGUE_VERSION):
            raise
        raise TerminalError(
            error.reason,
            f"no titles for the items of catalogue {catalogue.version}, which are MovieLens-100K's: name a catalogue "
            "of your own items in REKI_CATALOGUE_FILE (`reki knowledge catalogue` makes one)",
        ) from None


def _echo_check(prompt: Prompt, ids: set[str]) -> EchoCheck:
    return EchoCheck.of((message["content"] for message in prompt.messages), ids)


def _provenance(answer: CachedAnswer, prompt: Prompt) -> dict[str, Any]:
    return {
        "mode": KnowledgeMode.INDIVIDUAL,
        "model": answer.model,
        "template_version": prompt.template_version,
        "generated_at": answer.generated_at,
        "tokens_in": answer.tokens_in,
        "tokens_cached": answer.tokens_cached,
        "tokens_out": answer.tokens_out,
    }


def _name(model: str) -> str:
    """The model's name as the server tells it: part of `accepted_knowledge`, whose separator must not be in it."""
    return re.sub(r"[^A-Za-z0-9_.:/@+-]", "_", model)[:100] or "unknown"
