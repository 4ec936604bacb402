"""The recorded knowledge, cleaned of what its users had already touched where the ratings are at hand."""

import logging
from pathlib import Path

from knowledge.recorded import RecordedStore
from ranking.datasets.movielens import MovieLens, load

log = logging.getLogger(__name__)


def cleaned_store(data: MovieLens) -> RecordedStore:
    """The store without expected items and anchors that the user had rated by then, however long ago."""
    touched = {user: [rating.item_id for rating in own] for user, own in data.by_user().items()}
    return RecordedStore.load(histories=touched)


def recorded_store(movielens_dir: Path) -> RecordedStore:
    """The same; where the ratings were not fetched (a server that serves other users), the records as they are.

    Then only what the ring still shows of a user's past is dropped, at each request. Raises `TerminalError`
    (`bad_data`, `no_data`) where the folder is there and damaged.
    """
    if not movielens_dir.is_dir():
        log.info("no MovieLens-100K in %s: recorded knowledge is cleaned by the users' rings alone", movielens_dir)
        return RecordedStore.load()
    return cleaned_store(load(movielens_dir))
