"""Everything a bulk run needs, opened from the settings and closed again: subjects, LLM, store, Feast."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from knowledge.base import TerminalError
from knowledge.catalogue import chosen_catalogue
from knowledge.live import Llm
from knowledge.recorded import RecordedStore
from knowledge.requests import KnowledgeSource
from knowledge.scenario import load_scenario
from knowledge.source import open_source
from knowledge.store import KnowledgeStore
from knowledge.text import address
from reki.current import current_settings, reachable_settings
from reki.knowledge.subjects import Subjects
from reki.settings import Settings, Source


@dataclass(frozen=True)
class Opened:
    """`is_online`: read from, and written to, a running stack. `since`: when reading began.

    `left_out`: users of a folder who were forgotten after all that it tells of them.
    """

    settings: Settings
    subjects: Subjects
    is_online: bool
    since: datetime
    left_out: int = 0

    def store(self) -> KnowledgeStore:
        """Where results are kept, but of users who are forgotten after `since`."""
        return knowledge_store(self.settings, self.since)

    def titles(self) -> Mapping[str, str]:
        """Titles of the catalogue's items."""
        catalogue = chosen_catalogue(self.settings.knowledge.catalogue_file)
        return self.subjects.titles(list(dict.fromkeys([*catalogue.anchors, *catalogue.shortlist])))

    def source(self, settings: Settings, client: Llm | None = None, *, counted: bool = False) -> KnowledgeSource:
        """Who answers; `client` is asked instead of the settings' server.

        `counted`: answers are only counted, so that recorded ones need not be cleaned, which takes all the ratings.
        """
        knowledge, store = settings.knowledge, None
        if knowledge.uses_recorded:
            from reki.recorded import recorded_store

            store = RecordedStore.load() if counted else recorded_store(settings.ranking.movielens_dir)
        return open_source(knowledge, self.titles(), store=store, client=client)


def knowledge_store(settings: Settings, since: datetime | None = None) -> KnowledgeStore:
    """The store of bulk knowledge below the data folder."""
    return KnowledgeStore(settings.reki.data_dir / "knowledge", since)


@contextmanager
def opened(folder: Path | None, training_split: bool = False) -> Iterator[Opened]:
    """Subjects from `folder`, else from the stack that is up.

    Raises `TerminalError` (`not_up`, `no_data`, `bad_data`).
    """
    since = datetime.now(UTC)
    if folder is not None:
        from reki.knowledge.folder import FolderSubjects

        settings = current_settings()
        scenario = load_scenario(settings.knowledge.scenario)
        read = FolderSubjects.load(folder, scenario, settings.streams.ring_size, training_split)
        yield Opened(settings, read, False, since, read.forget(knowledge_store(settings).tombstones))
        return
    if training_split:
        raise TerminalError("bad_option", "--training-split goes with --from: a stack knows no split")
    settings = reachable_settings()
    from reki.knowledge.online import OnlineSubjects
    from streams.redis_calls import connect

    client = connect(settings.feature_repo.redis_url)
    features, scenario = settings.feature_repo, load_scenario(settings.knowledge.scenario)
    try:
        subjects = OnlineSubjects(client, features.namespace, settings.streams.ring_size, scenario)
        yield Opened(settings, subjects, True, since)
    finally:
        client.close()


def who_answers(settings: Settings, *, live: bool = False) -> str:
    """Who is asked, and where, in words; `live`: what is recorded is no answer to the question."""
    knowledge = settings.knowledge
    if knowledge.llm == "recorded":
        return "recorded MovieLens-100K knowledge, without an LLM"
    before = (
        "recorded MovieLens-100K knowledge where there is some, else " if knowledge.uses_recorded and not live else ""
    )
    chosen = (
        ", as in this clone's stack (REKI_LLM chooses another)" if settings.sources.get("llm") is Source.STACK else ""
    )
    if knowledge.llm != "embedded":
        return f"{before}{knowledge.model_name} at {address(knowledge.llm_base_url)}{chosen}"
    if _runs(knowledge.llm_base_url):
        return f"{before}the embedded {knowledge.model_name} at {address(knowledge.llm_base_url)}{chosen}"
    return f"{before}the embedded {knowledge.model_name}, started for this run{chosen}"


@contextmanager
def answering(settings: Settings) -> Iterator[Settings]:
    """`settings` with an LLM that answers: the embedded one is started where none is running (`reki up --stores`)."""
    if settings.knowledge.llm != "embedded":
        yield settings
        return
    if _runs(settings.knowledge.llm_base_url):
        yield settings
        return
    from reki.embedded import llm

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="reki-llm-"))
        server = stack.enter_context(llm.start(Path(folder), settings.reki.llm_slots))
        yield settings.replaced(llm_base_url=server.base_url)


def _runs(url: str) -> bool:
    """Whether the embedded server is up there."""
    from reki.embedded import llm

    port = urlsplit(url).port if url else None
    return port is not None and llm.is_ready(port)
