"""The Feast side of a bulk run: the release, a thread for the stores, announcements on `feature-updates`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console

from knowledge.base import TerminalError, TransientError
from reki.knowledge.learned import Learned, Written
from reki.knowledge.writing import FeastSink
from reki.settings import Settings
from streams.publisher import Publisher
from streams.redis_calls import connect
from streams.release_parts import RefreshRelease
from streams.topic_admin import ensure_topics
from streams.topics import TopicNames

T = TypeVar("T")
_ATTEMPTS = 6


class Feast:
    """Writes batches; in order rows, announcement, state, so that what was cut off is repeated."""

    def __init__(self, settings: Settings, release: RefreshRelease, replace_individual: bool) -> None:
        self._settings, streams = settings, settings.streams
        self._thread = ThreadPoolExecutor(1, "knowledge-feast")
        self._sink = FeastSink(settings.feature_repo, streams, release, replace_individual=replace_individual)
        self._updates = TopicNames(settings.feature_repo.namespace).feature_updates
        self._publisher = Publisher(
            streams.kafka_bootstrap, last_resort=streams.kafka_last_resort, timeout_s=streams.kafka_request_timeout_s
        )

    def __enter__(self) -> Self:
        """Make the topics that are missing: `reki up --stores` runs no worker that would."""
        with connect(self._settings.feature_repo.redis_url) as client:
            ensure_topics(self._settings.streams, self._settings.feature_repo.namespace, client)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.submit(self._sink.close).result()
        self._thread.shutdown()

    async def write(self, learned: Sequence[Learned]) -> Written:
        """Write users or items; an outage is waited out for half a minute, then raised (`TransientError`)."""
        if learned[0].knowledge.entity == "item":
            return await self._patiently(lambda: self._sink.items(learned))
        written = await self._patiently(lambda: self._sink.users(learned))
        for user, update in written.updates:
            await self._retried(partial(self._publisher.send, self._updates, user.encode(), update))
        await self._patiently(lambda: self._sink.note(learned, written))
        return written

    async def stop(self) -> None:
        """Disconnect from the broker."""
        await self._publisher.stop()

    async def _patiently(self, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await self._retried(lambda: loop.run_in_executor(self._thread, call))

    async def _retried(self, call: Callable[[], Awaitable[T]]) -> T:
        pause = 0.5
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await call()
            except TransientError:
                if attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(pause)
                pause *= 2
        raise AssertionError("unreachable")


def feast_of(settings: Settings, replace_individual: bool, console: Console) -> Feast | None:
    """Feast of the stack that is up; None, and a line that says so, where there is no release to make vectors with."""
    release = loaded_release(settings, console)
    return None if release is None else Feast(settings, release, replace_individual)


def loaded_release(settings: Settings, console: Console) -> RefreshRelease | None:
    """What the release in use is needed for here; None, and a line that says so, where there is none."""
    from reki.workers import release_path

    try:
        path = release_path(settings)
    except TerminalError as error:
        console.print(f"Feast is left as it is: {error.message}. The same command writes later.", soft_wrap=True)
        return None
    # Torch is loaded here: after all that may be wrong already.
    from encoders.sentence import SentenceEncoder
    from encoders.text_cache import EncodingCache
    from ranking.release import Release

    release = Release.load(path)
    condenser = release.condenser(
        SentenceEncoder(release.encoder_id, settings.encoders.encoder_batch),
        EncodingCache(settings.encoders.encodings_dir),
    )
    return RefreshRelease(release.release_id, release.anchors, (len(release.factors), release.dim), condenser)
