"""Everything a bulk run needs, opened from the settings and closed again: subjects, LLM, store, Feast."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from knowledge.base import TerminalError
from knowledge.catalogue import chosen_catalogue
from knowledge.live import Llm
from knowledge.requests import KnowledgeSource
from knowledge.scenario import load_scenario
from knowledge.source import open_source
from knowledge.store import KnowledgeStore
from reki.current import current_settings, reachable_settings
from reki.knowledge.subjects import Subjects
from reki.recorded import recorded_store
from reki.settings import Settings


@dataclass(frozen=True)
class Opened:
    """`is_online`: read from, and written to, a running stack."""

    settings: Settings
    subjects: Subjects
    is_online: bool

    def store(self) -> KnowledgeStore:
        """Where results are kept."""
        return knowledge_store(self.settings)

    def titles(self) -> Mapping[str, str]:
        """Titles of the catalogue's items."""
        catalogue = chosen_catalogue(self.settings.knowledge.catalogue_file)
        return self.subjects.titles(list(dict.fromkeys([*catalogue.anchors, *catalogue.shortlist])))

    def source(self, settings: Settings, client: Llm | None = None) -> KnowledgeSource:
        """Who answers; `client` is asked instead of the settings' server."""
        knowledge = settings.knowledge
        store = recorded_store(settings.ranking.movielens_dir) if knowledge.uses_recorded else None
        return open_source(knowledge, self.titles(), store=store, client=client)


def knowledge_store(settings: Settings) -> KnowledgeStore:
    """The store of bulk knowledge below the data folder."""
    return KnowledgeStore(settings.reki.data_dir / "knowledge")


@contextmanager
def opened(folder: Path | None, training_split: bool = False) -> Iterator[Opened]:
    """Subjects from `folder`, else from the stack that is up.

    Raises `TerminalError` (`not_up`, `no_data`, `bad_data`).
    """
    if folder is not None:
        from reki.knowledge.folder import FolderSubjects

        settings = current_settings()
        scenario = load_scenario(settings.knowledge.scenario)
        yield Opened(settings, FolderSubjects.load(folder, scenario, settings.streams.ring_size, training_split), False)
        return
    if training_split:
        raise TerminalError("bad_option", "--training-split goes with --from: a stack knows no split")
    settings = reachable_settings()
    from reki.knowledge.online import OnlineSubjects
    from streams.redis_calls import connect

    client = connect(settings.feature_repo.redis_url)
    features, scenario = settings.feature_repo, load_scenario(settings.knowledge.scenario)
    try:
        yield Opened(settings, OnlineSubjects(client, features.namespace, settings.streams.ring_size, scenario), True)
    finally:
        client.close()


@contextmanager
def answering(settings: Settings) -> Iterator[Settings]:
    """`settings` with an LLM that answers: the embedded one is started where none is running (`reki up --stores`)."""
    if settings.knowledge.llm != "embedded":
        yield settings
        return
    from reki.embedded import llm

    address = settings.knowledge.llm_base_url
    port = urlsplit(address).port if address else None
    if port is not None and llm.is_ready(port):
        yield settings
        return
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="reki-llm-"))
        server = stack.enter_context(llm.start(Path(folder), settings.reki.llm_slots))
        yield settings.replaced(llm_base_url=server.base_url)
