"""`reki knowledge import`: into the store and, asked for, into the Feast of the running stack."""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from knowledge.base import Knowledge, TerminalError
from knowledge.catalogue import chosen_catalogue
from knowledge.scenario import load_scenario
from knowledge.store import KnowledgeStore
from reki.current import current_settings, reachable_settings
from reki.knowledge.learned import Learned
from reki.knowledge.opened import knowledge_store
from reki.knowledge.transfer import EDITED, import_file
from reki.settings import Settings

_CHUNK = 200
UNKNOWN = "without a user or item in the stack"
AHEAD = "ahead"
_ADVICE = {
    UNKNOWN: "Publish those users' events and the items' profiles, then import again with --feast.",
    AHEAD: "They were made from more events than this stack has of those users: publish the others, then import again "
    "with --feast.",
    "later": "What is in force was made from more events; it stays.",
}


def run(path: Path, skip_bad: bool, feast: bool) -> int:
    """The command's exit code: 0, or 2 where lines are bad (nothing written, but `skip_bad`)."""
    settings = reachable_settings() if feast else current_settings()
    console, store = Console(highlight=False), knowledge_store(settings)
    named = _nameable(settings)
    done = import_file(store, path, load_scenario(settings.knowledge.scenario), skip_bad)
    for number, wrong in done.bad:
        print(f"{path}:{number}: {wrong}", file=sys.stderr)
    if done.bad_count > len(done.bad):
        print(f"... and {done.bad_count - len(done.bad)} more bad lines", file=sys.stderr)
    if done.bad_count and not skip_bad:
        print(f"nothing was taken: {done.bad_count} bad line(s); --skip-bad takes the others", file=sys.stderr)
        return 2
    skipped = f", {done.bad_count:,} bad ones left out" if done.bad_count else ""
    console.print(
        f"{done.written:,} records taken into {store.folder}, {done.same:,} were there{skipped}", soft_wrap=True
    )
    if done.forgotten:
        console.print(
            f"{done.forgotten:,} left out: their users were forgotten after the records were made. Purge the file of "
            "them, too",
            soft_wrap=True,
        )
    if done.edited:
        console.print(
            f"{done.edited:,} of them differ from the answer stored here and are marked as edited (model ...{EDITED}): "
            "shown, but no ranker uses them that was not trained with such records",
            soft_wrap=True,
        )
    unknown = done.named - named
    if feast:
        outcomes = write_stored(settings, store, done.users, done.items, console)
        words = ", ".join(f"{count:,} {word}" for word, count in sorted(outcomes.items()))
        console.print(f"Feast: {words or 'nothing to write'}", soft_wrap=True)
        for word, advice in _ADVICE.items():
            if outcomes[word]:
                console.print(f"Stored, not in force: {outcomes[word]:,} {word}. {advice}", soft_wrap=True)
        unknown -= _in_stack(settings, unknown)
    if unknown:
        places = "in the catalogue nor in the stack" if feast else "in the catalogue (the stack was not asked)"
        console.print(
            f"{len(unknown):,} of the items that users' records name are not {places}, as {min(unknown)}: they count "
            "for nothing until there are such items",
            soft_wrap=True,
            markup=False,
        )
    return 0


def _nameable(settings: Settings) -> set[str]:
    """Items that prompts of these settings let an LLM name; raises `TerminalError` for a catalogue that is wrong."""
    catalogue = chosen_catalogue(settings.knowledge.catalogue_file)
    found: tuple[str, ...] = ()
    if settings.knowledge.find_file is not None:
        from encoders.item_index import load_index

        found = load_index(settings.knowledge.find_file).ids
    return {*catalogue.anchors, *catalogue.shortlist, *found}


def _in_stack(settings: Settings, items: Collection[str]) -> set[str]:
    from reki.knowledge.in_force import opened_in_force

    with opened_in_force(settings) as source:
        return set(source.titles(sorted(items)))


def write_stored(
    settings: Settings, store: KnowledgeStore, users: Sequence[str], items: Sequence[str], console: Console
) -> Counter[str]:
    """Write stored records to Feast, of those that the stack knows; outcomes by word.

    Raises `TerminalError` (`no_release`), `TransientError` where a store stays away: run it again.
    """
    from reki.knowledge.feast import feast_of

    made = feast_of(settings, True, console)
    if made is None:
        raise TerminalError("no_release", "there is no release to make vectors with: `reki up` trains one")
    outcomes: Counter[str] = Counter()

    async def write() -> None:
        try:
            for batch in _learned(settings, store, users, items, outcomes):
                outcomes.update((await made.write(batch)).outcomes)
        finally:
            await made.stop()

    with made:
        asyncio.run(write())
    return outcomes


def _learned(
    settings: Settings, store: KnowledgeStore, users: Sequence[str], items: Sequence[str], outcomes: Counter[str]
) -> Iterator[list[Learned]]:
    from feature_repo.keys import Keys
    from reki.knowledge.online import OnlineSubjects
    from streams.redis_calls import connect
    from streams.store import StateStore

    features, ring = settings.feature_repo, settings.streams.ring_size
    client = connect(features.redis_url)
    try:
        states = StateStore(client, Keys(features.namespace), ring)
        for part in _parts(store, "user", users):
            batch = []
            for one, state in zip(part, states.read_many([one.entity_id for one in part]), strict=True):
                if state is None or state.forgotten or not state.rev:
                    outcomes[UNKNOWN] += 1
                elif one.source_rev > state.rev:
                    outcomes[AHEAD] += 1
                else:
                    batch.append(Learned(one, epoch=state.epoch))
            if batch:
                yield batch
        subjects = OnlineSubjects(client, features.namespace, ring)
        for part in _parts(store, "item", items):
            known = subjects.titles([one.entity_id for one in part])
            outcomes[UNKNOWN] += len(part) - len(known)
            if known:
                yield [Learned(one) for one in part if one.entity_id in known]
    finally:
        client.close()


def _parts(store: KnowledgeStore, entity: str, ids: Sequence[str]) -> Iterator[list[Knowledge]]:
    wanted = set(ids)
    found = (one.knowledge for one in store.newest(entity) if one.knowledge.entity_id in wanted)
    while part := list(itertools.islice(found, _CHUNK)):
        yield part
