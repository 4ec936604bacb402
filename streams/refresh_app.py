"""`reki-refresh`: the Faust application that makes new knowledge. Encoder and HEIN live here, behaviour does not."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from encoders.finder import Finder
from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter
from knowledge.requests import KnowledgeSource
from knowledge.scenario import Scenario
from streams.faust_app import Running, make_app, run_app
from streams.forget import Erase
from streams.redis_calls import connect
from streams.refresh_worker import RefreshWorker
from streams.release_parts import RefreshRelease
from streams.settings import StreamSettings
from streams.slow_topics import SlowTopics, register
from streams.store import StateStore
from streams.titles import OnlineTitles
from streams.topics import TopicNames

__all__ = ["OnlineTitles", "RefreshRelease", "run"]


def run(
    settings: StreamSettings,
    features: FeatureSettings,
    release: RefreshRelease,
    source: KnowledgeSource,
    titles: OnlineTitles | None = None,
    erase: Erase | None = None,
    scenario: Scenario | None = None,
    finder: Finder | None = None,
) -> NoReturn:
    """Run the refresh worker in this process until SIGTERM or SIGINT.

    `titles` is what `source` names catalogue items by; the worker fills it from view `item_profile`. `erase` deletes
    cached LLM answers about a user who was forgotten while an answer was on its way. `scenario` says which fields of
    items an LLM may be told; None = none. `finder` finds items of a large catalogue for each user; None = none are.

    Beside the refresh service the agents of topics `items` and `profiles` run here: they are slow, and the stream
    worker stays free of what is not behaviour. Exit codes: 0 after an orderly stop, 70 after anything unexpected
    (nothing is lost: the next process reads on from the committed offsets).
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = RefreshWorker(settings, features, release, source, titles, erase, scenario, finder)
    # Not the refresh group's name: Faust takes the application's id as the group of its own consumer.
    app = make_app(
        f"{features.namespace}-slow-topics",
        settings.kafka_bootstrap,
        settings.faust_dir,
        session_timeout_s=settings.kafka_session_timeout_s,
        agents=True,
    )
    register(
        app,
        TopicNames(features.namespace),
        _slow_topics(settings, features),
        worker.dead_letters.send,
        ThreadPoolExecutor(1, "slow-topics"),
        settings.stream_retry_s,
    )
    run_app(app, [Running("refresh", worker.run, worker.stop)])


def _slow_topics(settings: StreamSettings, features: FeatureSettings) -> SlowTopics:
    """With connections of their own: a writer has one caller, and an import of items must not hold up a refresh."""
    client = connect(features.redis_url)
    keys = Keys(features.namespace)
    offline = OfflineBuffer(features.offline_dir, features.offline_flush_rows, features.offline_flush_s)
    return SlowTopics(FeatureWriter(client, keys, offline), StateStore(client, keys, settings.ring_size))
