"""`reki knowledge generate --mode collective`: cluster, ask once for each cluster, assemble for everybody.

Clusters and answers stay beside the knowledge store: a run that was cut off asks only about what is missing, and who is
new or has changed is assembled from the clusters that are there, without a call.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from encoders.cluster_files import write_clusters
from encoders.clusters import Clusters
from encoders.collective import cluster_requests, memberships
from knowledge.base import Knowledge, TerminalError
from knowledge.bulk import Bulk, Result
from knowledge.cache import AnswerCache
from knowledge.catalogue import Catalogue, chosen_catalogue
from knowledge.collective import (
    EMBEDDED_GROUP_LIMITS,
    GROUP_LIMITS,
    ClusterRequest,
    CollectiveSource,
    CollectiveStore,
    assemble_item,
    assemble_user,
)
from knowledge.collective.live import ClusterExtraction
from knowledge.live import Llm
from knowledge.prompts import Limits
from knowledge.scenario import Scenario, load_scenario
from knowledge.store import KnowledgeStore
from reki.knowledge import population as populations
from reki.knowledge.clustering import answers_of, choose, clusters_paid_for, described
from reki.knowledge.forgetting import forget_again
from reki.knowledge.generate import Wish, announce, chosen, nameable, nothing_missing
from reki.knowledge.learned import Learned
from reki.knowledge.opened import Opened, answering, opened, who_answers
from reki.knowledge.plan import CountingClient, Plan, make_cluster_plan, report
from reki.knowledge.population import Population
from reki.knowledge.progress import showing
from reki.knowledge.running import HOPELESS, Tally, keep, note_cost, run_through, tell, tell_stopped
from reki.settings import Settings

if TYPE_CHECKING:
    from reki.knowledge.client import BulkClient
    from reki.knowledge.feast import Feast
    from streams.release_parts import RefreshRelease

_CHUNK = 256


@dataclass(frozen=True)
class _Asking:
    """What every prompt of the run is made with."""

    scenario: Scenario
    catalogue: Catalogue
    titles: dict[str, str]
    limits: Limits

    def source(self, settings: Settings, client: Llm) -> CollectiveSource:
        cache = AnswerCache(settings.knowledge.knowledge_cache_dir)
        return CollectiveSource(client, self.scenario, self.catalogue, self.titles, cache, group_limits=self.limits)


def generate_collective(wish: Wish, console: Console) -> int:
    """Run the command; exit codes and errors as `generate`."""
    if wish.find:
        raise TerminalError("bad_option", "--find goes with --mode individual: a cluster is no single user")
    with opened(wish.folder, wish.training_split) as world:
        settings = world.settings
        if settings.knowledge.llm == "recorded":
            raise TerminalError("no_llm", "there is no recorded knowledge of clusters: set REKI_LLM to who answers")
        ids = chosen(world, wish)
        if not ids:
            return nothing_missing(wish, console)
        if wish.kind == "users":
            nameable(world)
        release = _release(settings, console) if world.is_online else None
        population = _populate(world, wish, ids, release)
        asking = _asking(settings, world)
        entity, model = wish.kind.removesuffix("s"), settings.knowledge.model_name
        folder = world.store().folder / "clusters" / entity
        k = wish.clusters
        if wish.budget is not None:
            asked = (asking.catalogue, asking.titles, asking.limits)
            k = clusters_paid_for(wish.budget, entity, population, asking.scenario, asked, world.store().folder, model)
        found = choose(folder, entity, population, k, wish.budget is not None, wish.recluster)
        clusters = found.clusters
        console.print(
            described(clusters, wish.kind, found.why, len(population.ids), population.without), soft_wrap=True
        )
        answers = answers_of(folder, clusters, asking.scenario, asking.catalogue, model)
        requests = list(
            cluster_requests(
                clusters, population.ids, population.vectors, population.members, answers.missing(clusters.k)
            )
        )
        if wish.dry_run:
            plan = Plan(answered=clusters.k - len(requests))
            source = asking.source(settings, CountingClient(settings.knowledge, plan))
            asyncio.run(make_cluster_plan(requests, source, plan))
            console.print(f"by {who_answers(settings, live=True)}; nothing is asked:", soft_wrap=True)
            for what, much in report(plan, settings.knowledge, f"{entity}_cluster", wish.prices, world.store().folder):
                console.print(f"  {what:<28} {much}", soft_wrap=True)
            _predict(world, wish, population.ids, console)
            return 0
        if found.is_new:
            write_clusters(folder, clusters)
            forget_again(world)
        announce(
            world, f"{len(requests):,} of {clusters.k:,} clusters to ask about", release is not None, console, live=True
        )
        with answering(settings) as ready, world.store() as store:
            began, client = time.monotonic(), _client(ready)
            source = asking.source(ready, client)
            tally = asyncio.run(_ask(world, store, source, requests, answers, client, console))
            note_cost(client, model, f"{entity}_cluster", store, time.monotonic() - began)
            tell(tally, client.meter, len(requests), time.monotonic() - began, None, console)
            if not tally.finished:
                return tell_stopped(client, console)
            feast = _feast(ready, release, wish.replace_individual) if release is not None else None
            with feast or nullcontext():
                made = asyncio.run(
                    _assemble(
                        population, clusters, answers, asking.scenario, store, feast, wish.replace_individual, console
                    )
                )
    return 1 if tally.errors or made.errors else 0


def _client(settings: Settings) -> "BulkClient":
    from reki.knowledge.client import BulkClient

    return BulkClient(settings.knowledge)


def _predict(world: Opened, wish: Wish, ids: list[str], console: Console) -> None:
    """For whom the run would change nothing that is in force."""
    if not world.is_online or wish.kind != "users" or wish.replace_individual:
        return
    from reki.knowledge.writing import with_own_knowledge

    kept = with_own_knowledge(world.settings.feature_repo, ids)
    if kept:
        text = f"{kept:,} of {len(ids):,}: knowledge of their own is in force; --replace replaces it"
        console.print(f"  {'would stay as they are':<28} {text}", soft_wrap=True)


def _populate(world: Opened, wish: Wish, ids: list[str], release: "RefreshRelease | None") -> Population:
    encoders = world.settings.encoders
    if wish.kind == "items":
        return populations.items(world.subjects, ids, encoders)
    return populations.users(world.subjects, ids, encoders, release)


def _asking(settings: Settings, world: Opened) -> _Asking:
    knowledge = settings.knowledge
    catalogue = chosen_catalogue(knowledge.catalogue_file).trimmed(knowledge.shortlist_size)
    limits = EMBEDDED_GROUP_LIMITS if knowledge.llm == "embedded" else GROUP_LIMITS
    return _Asking(load_scenario(knowledge.scenario), catalogue, dict(world.titles()), limits)


def _release(settings: Settings, console: Console) -> "RefreshRelease | None":
    from reki.knowledge.feast import loaded_release  # loads Feast and torch: not for a run without a stack

    return loaded_release(settings, console)


def _feast(settings: Settings, release: "RefreshRelease", replace_individual: bool) -> "Feast":
    from reki.knowledge.feast import Feast

    return Feast(settings, release, replace_individual)


async def _ask(
    world: Opened,
    store: KnowledgeStore,
    source: CollectiveSource,
    requests: list[ClusterRequest],
    answers: CollectiveStore,
    client: "BulkClient",
    console: Console,
) -> Tally:
    tally, concurrency = Tally(), world.settings.knowledge.llm_concurrency

    async def ask(request: ClusterRequest) -> ClusterExtraction:
        if request.entity == "user":
            request = request.without({one.entity_id for one in request.members if store.is_leaving(one.entity_id)})
        return await source.cluster(request)

    with showing(console, "Knowledge of clusters", len(requests)) as show:

        async def deliver(batch: list[Result[ClusterRequest, ClusterExtraction]]) -> None:
            for result in batch:
                tally.done += 1
                if result.extraction is None:
                    tally.failed(result.error)
                    continue
                tally.answers += result.extraction.called
                tally.cached += not result.extraction.called
                await asyncio.to_thread(answers.add, result.extraction.knowledge)
            await asyncio.to_thread(forget_again, world)
            show(tally.done, source.meter.total("tokens_out"))

        bulk = Bulk(requests, ask, deliver, concurrency=concurrency, hopeless=HOPELESS, batch_s=0.2)
        try:
            tally.finished = await run_through(bulk, show, client)
        finally:
            await source.close()
    return tally


async def _assemble(
    population: Population,
    clusters: Clusters,
    answers: CollectiveStore,
    scenario: Scenario,
    store: KnowledgeStore,
    feast: "Feast | None",
    replace_individual: bool,
    console: Console,
) -> Tally:
    tally, began = Tally(), time.monotonic()
    try:
        made = _assembled(population, clusters, answers, scenario, tally)
        while learned := list(itertools.islice(made, _CHUNK)):
            await keep(learned, tally, store, feast, replace_individual)
    finally:
        if feast is not None:
            await feast.stop()
    seconds = time.monotonic() - began
    console.print(f"assembled {tally.done:,} without a call in {seconds:.1f} s", soft_wrap=True)
    tell(tally, None, 0, seconds, store, console)
    return tally


def _assembled(
    population: Population, clusters: Clusters, answers: CollectiveStore, scenario: Scenario, tally: Tally
) -> Iterator[Learned]:
    held = answers.held
    for entity_id, membership in zip(population.ids, memberships(clusters, population.vectors), strict=True):
        tally.done += 1
        try:
            subject = population.users.get(entity_id)
            knowledge: Knowledge
            if subject is None:
                knowledge = assemble_item(entity_id, membership, held)
            else:
                knowledge = assemble_user(
                    entity_id,
                    membership,
                    held,
                    population.own_values(entity_id),
                    scenario,
                    source_rev=subject.request.source_rev,
                    source_through=subject.request.source_through,
                )
        except TerminalError as error:
            tally.failed(error)
            continue
        yield Learned(knowledge, None, subject.epoch if subject is not None else 0)
