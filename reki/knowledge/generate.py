"""`reki knowledge generate`: individual extraction of many users or items, resumable at any moment.

Answered prompts are in the answer cache before they count, so a run that was stopped or killed is run again and pays
for nothing twice. Results go to the knowledge store batch by batch and, where they were read from a running stack, to
Feast.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from knowledge.base import TerminalError
from knowledge.bulk import Bulk, Result
from knowledge.catalogue import chosen_catalogue
from knowledge.live import known
from knowledge.meter import Meter
from knowledge.requests import Extraction
from knowledge.store import KnowledgeStore
from reki.knowledge.learned import Learned
from reki.knowledge.opened import Opened, answering, opened, who_answers
from reki.knowledge.plan import CountingClient, Plan, Prices, make_plan, report
from reki.knowledge.progress import showing
from reki.knowledge.running import HOPELESS, Tally, interruptible, keep, note_cost, run_through, tell, tell_stopped
from reki.knowledge.subjects import Subject, UserSubject
from reki.settings import Settings

if TYPE_CHECKING:
    from encoders.finder import Finder
    from reki.knowledge.client import BulkClient
    from reki.knowledge.feast import Feast
    from streams.release_parts import RefreshRelease

Kind = Literal["users", "items"]


@dataclass(frozen=True)
class Wish:
    """The command's options. `folder`: read a data set instead of the stack. `clusters`, `budget`: collective only."""

    kind: Kind
    mode: Literal["individual", "collective"] = "individual"
    folder: Path | None = None
    training_split: bool = False
    missing: bool = False
    limit: int | None = None
    dry_run: bool = False
    clusters: int | None = None
    budget: int | None = None
    replace_individual: bool = False
    recluster: bool = False
    find: bool = False
    prices: Prices = field(default_factory=Prices)


def generate(wish: Wish, console: Console | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 (some could not be answered), 130 (stopped by Ctrl-C).

    Raises `TerminalError` and `TransientError` with what to do; a later run goes on where this one ended.
    """
    console = console or Console(highlight=False)
    try:
        with interruptible(console):
            if wish.mode == "collective":
                from reki.knowledge.collective import generate_collective

                return generate_collective(wish, console)
            return _generate_individual(wish, console)
    except KeyboardInterrupt:
        return 130


def _generate_individual(wish: Wish, console: Console) -> int:
    if wish.clusters is not None or wish.budget is not None or wish.recluster or wish.replace_individual:
        raise TerminalError("bad_option", "--k, --budget, --recluster and --replace go with --mode collective")
    with opened(wish.folder, wish.training_split) as world:
        ids = chosen(world, wish)
        if not ids:
            return nothing_missing(wish, console)
        if wish.kind == "users" and not world.settings.knowledge.uses_recorded:
            nameable(world)
        find_file = world.settings.knowledge.find_file
        needs_release = not wish.dry_run or (wish.find and find_file is None)
        release = _release(world, console) if world.is_online and needs_release else None
        # Where the refresh worker finds items for users, so does a bulk run: both ask the same.
        finds = wish.find or (wish.kind == "users" and find_file is not None)
        finder = _finder(world, wish, release) if finds else None
        if wish.dry_run:
            _dry_run(wish, world, ids, finder, console)
            return 0
        announce(world, f"{len(ids):,} {wish.kind}", release is not None, console)
        with answering(world.settings) as settings, world.store() as store:
            began = time.monotonic()
            client = _client(settings)
            feast = _feast(settings, release) if release is not None else None
            with feast or nullcontext():
                tally, meter = asyncio.run(_run(wish, world, settings, ids, finder, client, store, feast, console))
            if client is not None:
                note_cost(client, settings.knowledge.model_name, _purpose(wish), store, time.monotonic() - began)
        tell(tally, meter, len(ids), time.monotonic() - began, store, console)
    if not tally.finished:
        return tell_stopped(client, console)
    return 1 if any(reason not in ("no_newer_record", "forgotten") for reason in tally.errors) else 0


def chosen(world: Opened, wish: Wish) -> list[str]:
    """The ids that the wish is about, in order; none where all have what it asks for.

    Raises `TerminalError` (`no_subjects`) where there is nobody at all.
    """
    find = world.subjects.user_ids if wish.kind == "users" else world.subjects.item_ids
    ids = find(wish.missing)[: wish.limit]
    if not ids and not (wish.missing and find(False)):
        where = "in this folder" if wish.folder else "in the stores: `reki load-sample` or your topics fill them"
        raise TerminalError("no_subjects", f"there are no {wish.kind} {where}")
    return ids


def nothing_missing(wish: Wish, console: Console) -> int:
    """Say so; the exit code."""
    console.print(f"Nothing is missing: all {wish.kind} have knowledge in force.", soft_wrap=True)
    return 0


def nameable(world: Opened) -> None:
    """Raise `TerminalError` (`no_titles`) where no user could be asked about, before the first one is."""
    catalogue = chosen_catalogue(world.settings.knowledge.catalogue_file)
    known(catalogue.trimmed(world.settings.knowledge.shortlist_size), world.titles())


def announce(world: Opened, whom: str, feast: bool, console: Console, *, live: bool = False) -> None:
    """The first line: who is asked (`live`: nothing is recorded of them), and where results go."""
    answers = world.settings.knowledge.knowledge_cache_dir
    places = f"results in {world.store().folder}{' and in Feast' if feast else ''}, answers in {answers}"
    if world.left_out:
        places += f"; {world.left_out:,} left out, who were forgotten after all that the folder tells of them"
    console.print(f"{whom}, by {who_answers(world.settings, live=live)}; {places}", soft_wrap=True, markup=False)


def _subjects(world: Opened, wish: Wish, ids: Sequence[str], finder: "Finder | None") -> Iterator[Subject]:
    if wish.kind == "items":
        yield from world.subjects.items(ids)
    else:
        users = world.subjects.users(ids)
        if finder is None:
            yield from users
        else:
            from reki.knowledge.finding import found_for

            yield from found_for(finder, users)


def _finder(world: Opened, wish: Wish, release: "RefreshRelease | None") -> "Finder":
    if wish.kind == "items":
        raise TerminalError("bad_option", "--find goes with users: nothing is expected of items")
    from reki.knowledge.finding import open_finder

    return open_finder(world.subjects, world.settings, release)


def _client(settings: Settings) -> "BulkClient | None":
    if settings.knowledge.llm == "recorded":
        return None
    from reki.knowledge.client import BulkClient  # its library takes half a second to import

    return BulkClient(settings.knowledge)


def _purpose(wish: Wish) -> str:
    return wish.kind.removesuffix("s")


def _release(world: Opened, console: Console) -> "RefreshRelease | None":
    from reki.knowledge.feast import loaded_release  # loads Feast and torch: not for a run without a stack

    return loaded_release(world.settings, console)


def _feast(settings: Settings, release: "RefreshRelease") -> "Feast":
    from reki.knowledge.feast import Feast

    return Feast(settings, release, replace_individual=False)


def _dry_run(wish: Wish, world: Opened, ids: Sequence[str], finder: "Finder | None", console: Console) -> None:
    settings, plan = world.settings, Plan()
    source = world.source(settings, CountingClient(settings.knowledge, plan), counted=True)
    asyncio.run(make_plan(_subjects(world, wish, ids, finder), source, plan))
    lines = report(plan, settings.knowledge, _purpose(wish), wish.prices, world.store().folder)
    console.print(f"{len(ids):,} {wish.kind}, by {who_answers(settings)}; nothing is asked:", soft_wrap=True)
    for what, much in lines:
        console.print(f"  {what:<28} {much}", soft_wrap=True)


async def _run(
    wish: Wish,
    world: Opened,
    settings: Settings,
    ids: Sequence[str],
    finder: "Finder | None",
    client: "BulkClient | None",
    store: KnowledgeStore,
    feast: "Feast | None",
    console: Console,
) -> tuple[Tally, Meter]:
    source, tally = world.source(settings, client), Tally()

    async def ask(subject: Subject) -> Extraction:
        if isinstance(subject, UserSubject):
            if store.is_leaving(subject.entity_id):  # what was known of them must not go anywhere any more
                raise TerminalError("forgotten", "forgotten during the run: nothing is asked about them")
            return await source.user(subject.request)
        return await source.item(subject.profile)

    with showing(console, f"Knowledge of {wish.kind}", len(ids)) as show:

        async def deliver(batch: list[Result[Subject, Extraction]]) -> None:
            await keep(_learned(batch, tally), tally, store, feast)
            show(tally.done, source.meter.total("tokens_out"))

        subjects = _subjects(world, wish, ids, finder)
        bulk = Bulk(subjects, ask, deliver, concurrency=settings.knowledge.llm_concurrency, hopeless=HOPELESS)
        try:
            tally.finished = await run_through(bulk, show, client)
        finally:
            await source.close()
            if feast is not None:
                await feast.stop()
    return tally, source.meter


def _learned(batch: Sequence[Result[Subject, Extraction]], tally: Tally) -> list[Learned]:
    learned = []
    for result in batch:
        tally.done += 1
        one = result.extraction
        if one is None:
            tally.failed(result.error)
            continue
        tally.answers += one.called
        tally.recorded += one.prompt_hash is None
        tally.cached += not one.called and one.prompt_hash is not None
        epoch = result.subject.epoch if isinstance(result.subject, UserSubject) else 0
        learned.append(Learned(one.knowledge, one.prompt_hash, epoch))
    return learned
