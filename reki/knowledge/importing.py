"""`reki knowledge import`: into the store and, asked for, into the Feast of the running stack."""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from knowledge.base import Knowledge, TerminalError
from knowledge.scenario import load_scenario
from knowledge.store import KnowledgeStore
from reki.current import current_settings, reachable_settings
from reki.knowledge.learned import Learned
from reki.knowledge.opened import knowledge_store
from reki.knowledge.transfer import import_file
from reki.settings import Settings

_CHUNK = 200
UNKNOWN = "without a user or item in the stack"
AHEAD = "ahead: it has seen more events than the stack"


def run(path: Path, skip_bad: bool, feast: bool) -> int:
    """The command's exit code: 0, or 2 where lines are bad (nothing written, but `skip_bad`)."""
    settings = reachable_settings() if feast else current_settings()
    console, store = Console(highlight=False), knowledge_store(settings)
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
    if feast:
        outcomes = write_stored(settings, store, done.users, done.items, console)
        words = ", ".join(f"{count:,} {word}" for word, count in sorted(outcomes.items()))
        console.print(f"Feast: {words}", soft_wrap=True)
    return 0


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
