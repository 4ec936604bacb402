"""MovieLens-100K and its recorded knowledge, as the backfill loads them into a running stack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.writer import FeatureWriter
from knowledge.base import Action, Knowledge
from knowledge.recorded import RecordedStore
from knowledge.scenario import Scenario, load_scenario
from ranking.datasets.movielens import MovieLens, Rating, load
from ranking.release import Release
from ranking.split import history_length
from reki.recorded import cleaned_store
from reki.settings import Settings
from streams.backfill import ItemToLoad, Loaded, LoadedEvent, Progress, UserToLoad, backfill_items, backfill_users
from streams.control import Slots
from streams.due import DueSet
from streams.item_vectors import ItemVectors
from streams.projection import Projection
from streams.redis_calls import connect
from streams.store import StateStore
from streams.user_encoder import UserEncoder


@dataclass(frozen=True)
class Sample:
    """The data set with what was recorded about it. `ratings`: per user, in order of (time, item id)."""

    data: MovieLens
    ratings: Mapping[str, Sequence[Rating]]
    recorded: RecordedStore
    scenario: Scenario

    @classmethod
    def load(cls, folder: Path) -> "Sample":
        """Read it; recorded expectations are cleaned of what the user had touched by then.

        Raises `TerminalError` where `folder` does not hold the data.
        """
        data = load(folder)
        ratings = data.by_user()
        return cls(data, ratings, cleaned_store(data), load_scenario("films"))

    def items(self) -> list[ItemToLoad]:
        """Every film with its recorded texts."""
        return [ItemToLoad(profile, self.recorded.item(item)) for item, profile in self.data.items.items()]

    def users(self) -> list[UserToLoad]:
        """Every user with the ratings that the initial recorded knowledge has seen, and that knowledge."""
        known = self.recorded.users()
        return [self._user(user, known.get(user)) for user in self.ratings]

    def _user(self, user_id: str, knowledge: Knowledge | None) -> UserToLoad:
        own = self.ratings[user_id]
        history = []
        for rating in own[: history_length(len(own))]:
            outcome = self.scenario.outcome(Action.RATE, rating.value)
            history.append(LoadedEvent(rating.item_id, outcome.value, outcome.polarity, rating.at))
        return UserToLoad(user_id, history, self.data.users[user_id].fields, knowledge)


def load_into(
    settings: Settings,
    release: Release,
    sample: Sample,
    items_progress: Progress | None = None,
    users_progress: Progress | None = None,
) -> tuple[Loaded, Loaded]:
    """Backfill all films, then all users, into the stores that `settings` name; what is newer there stays.

    Returns what was loaded of each. Raises `TransientError` when a store is away: run it again.
    """
    from encoders.sentence import SentenceEncoder
    from encoders.text_cache import EncodingCache

    features, streams = settings.feature_repo, settings.streams
    client, keys = connect(features.redis_url), Keys(features.namespace)
    slots = Slots(client, features.namespace)
    reader = FeatureReader(client, keys)
    offline = OfflineBuffer(features.offline_dir, features.offline_flush_rows, features.offline_flush_s)
    writer = FeatureWriter(client, keys, offline)
    condenser = release.condenser(SentenceEncoder(release.encoder_id), EncodingCache(settings.encoders.encodings_dir))
    store = StateStore(client, keys, streams.ring_size)
    projection = Projection(
        store,
        writer,
        ItemVectors(reader, streams.vector_cache_items, streams.vector_cache_ttl_s, streams.vector_cache_miss_ttl_s),
        slots,
        DueSet(client, features.namespace),
        streams,
    )
    shape = (len(release.factors), release.dim)
    try:
        items = backfill_items(
            sample.items(),
            writer=writer,
            condenser=condenser,
            release_id=release.release_id,
            slots=slots.current(),
            progress=items_progress,
        )
        users = backfill_users(
            sample.users(),
            redis=client,
            store=store,
            writer=writer,
            encoder=UserEncoder(condenser, reader, release.release_id, release.anchors, shape),
            projection=projection,
            slots=slots.current(),
            progress=users_progress,
        )
    finally:
        writer.close()
        client.close()
    return items, users
