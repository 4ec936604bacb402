"""Where knowledge comes from: recorded, live, or recorded first. One interface, one kind of record."""

from collections.abc import Mapping

from knowledge.base import Clock, ItemProfile
from knowledge.cache import AnswerCache
from knowledge.catalogue import chosen_catalogue
from knowledge.live import LiveSource, Llm
from knowledge.meter import Meter
from knowledge.prompts import EMBEDDED_LIMITS
from knowledge.recorded import RecordedStore, without_touched
from knowledge.requests import (
    Extraction,
    HistoryEntry,
    KnowledgeSource,
    NoNewerRecord,
    UserRequest,
    effective_history,
)
from knowledge.scenario import load_scenario
from knowledge.settings import KnowledgeSettings

__all__ = [
    "Extraction",
    "HistoryEntry",
    "KnowledgeSource",
    "LiveSource",
    "NoNewerRecord",
    "RecordedSource",
    "RoutedSource",
    "UserRequest",
    "effective_history",
    "open_source",
]


class RecordedSource:
    """Answers from the store, without a call.

    A record counts only if it has seen more events than the knowledge in force and no more than the request.
    `dropped` counts expected items that fell because the request's history shows that the user had touched them;
    the ring is shorter than a long history, so load the store with the histories where you have them.
    """

    def __init__(self, store: RecordedStore) -> None:
        self.store = store
        self.meter = Meter()  # stays at zero: records cost nothing
        self.dropped = 0

    async def user(self, request: UserRequest) -> Extraction:
        """The newest record that counts; raises `NoNewerRecord` if there is none."""
        in_force = request.previous.source_rev if request.previous is not None else -1
        record = self.store.newest(request.user_id, in_force, request.source_rev)
        if record is None:
            raise NoNewerRecord(
                f"no recorded knowledge of this user after more than {max(in_force, 0)} and at most "
                f"{request.source_rev} events; the knowledge in force stays"
            )
        # Revs of the ring are consecutive and end at the request's: what came after the record does not count, so
        # that the same record gives the same expectations, whenever the request came.
        later = request.source_rev - record.source_rev
        seen = request.history[: max(0, len(request.history) - later)]
        record, dropped = without_touched(record, {entry.item_id for entry in seen})
        self.dropped += dropped
        through = max((entry.occurred_at for entry in seen), default=None)
        return Extraction(record.model_copy(update={"source_through": through}), prompt_hash=None, called=False)

    async def item(self, profile: ItemProfile) -> Extraction:
        """The item's recorded texts; raises `NoNewerRecord` if there are none."""
        record = self.store.item(profile.item_id)
        if record is None:
            raise NoNewerRecord(f"no recorded knowledge of item {profile.item_id}")
        return Extraction(record, prompt_hash=None, called=False)

    async def close(self) -> None:
        """Nothing to give back."""


class RoutedSource:
    """Recorded knowledge where there is some, the live LLM elsewhere.

    A user who has recorded refreshes never goes to the live LLM: its answers would replace the ones that the ranker
    was trained for. Their request ends as `no_newer_record`.
    """

    def __init__(self, recorded: RecordedSource, live: KnowledgeSource | None) -> None:
        self.recorded = recorded
        self.live = live

    @property
    def meter(self) -> Meter:
        """The live source's meter."""
        return self.recorded.meter if self.live is None else self.live.meter

    async def user(self, request: UserRequest) -> Extraction:
        """Recorded or live, by whether the user has recorded refreshes."""
        if self.live is None or self.recorded.store.is_refreshed(request.user_id):
            return await self.recorded.user(request)
        return await self.live.user(request)

    async def item(self, profile: ItemProfile) -> Extraction:
        """Recorded if there is a record, else live."""
        if self.live is None or self.recorded.store.item(profile.item_id) is not None:
            return await self.recorded.item(profile)
        return await self.live.item(profile)

    async def close(self) -> None:
        """Close the live source."""
        if self.live is not None:
            await self.live.close()


def open_source(
    settings: KnowledgeSettings,
    titles: Mapping[str, str],
    *,
    clock: Clock | None = None,
    store: RecordedStore | None = None,
    client: Llm | None = None,
) -> RoutedSource | LiveSource:
    """The source that the settings ask for.

    `titles` names the catalogue's items; it is looked into at every request, so it may fill later. `store` spares a
    second load and may be cleaned with histories. `client` is asked instead of the settings' server (a plan that only
    counts). Raises `TerminalError` (`no_llm`) where an address is missing.
    """
    recorded = RecordedSource(store or RecordedStore.load()) if settings.uses_recorded else None
    if recorded is not None and settings.llm == "recorded":
        return RoutedSource(recorded, None)
    if client is None:
        from knowledge.client import LlmClient  # its library takes a second to import: only where it is used

        client = LlmClient(settings, clock)
    live = LiveSource(
        client,
        load_scenario(settings.scenario),
        chosen_catalogue(settings.catalogue_file).trimmed(settings.shortlist_size),
        titles,
        AnswerCache(settings.knowledge_cache_dir),
        limits=EMBEDDED_LIMITS if settings.llm == "embedded" else None,
        clock=clock,
    )
    return live if recorded is None else RoutedSource(recorded, live)
