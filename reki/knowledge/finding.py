"""Large catalogues: up to 60 items found for each user, to be named in this answer beside the global shortlist."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from encoders.retrieval import Retriever
from encoders.settings import EncoderSettings
from reki.knowledge.population import item_space
from reki.knowledge.subjects import Subjects, UserSubject

if TYPE_CHECKING:
    from streams.release_parts import RefreshRelease

_CHUNK = 200


class Finder:
    """Finds by what users liked and disliked. How well known items are, and since when, is read from all histories."""

    def __init__(self, subjects: Subjects, settings: EncoderSettings, release: "RefreshRelease | None") -> None:
        ids = subjects.item_ids()
        self.titles: Mapping[str, str] = subjects.titles(ids)
        self._space = item_space(subjects, ids, settings, release)
        touches: Counter[str] = Counter()
        first: dict[str, float] = {}
        for subject in subjects.users(subjects.user_ids()):
            for entry in subject.request.history:
                touches[entry.item_id] += 1
                at = entry.occurred_at.timestamp()
                first[entry.item_id] = min(at, first.get(entry.item_id, at))
        none = np.zeros(self._space.shape, dtype=np.float32)
        self._retriever = Retriever(
            ids,
            np.stack([self._space.vectors.get(item, none) for item in ids]),
            np.array([touches[item] for item in ids]),
            # What nobody has touched is the freshest of all.
            np.array([first.get(item, np.inf) for item in ids]),
        )

    def found_for(self, subjects: Iterable[UserSubject]) -> Iterator[UserSubject]:
        """The same subjects, with what was found for each; read lazily."""
        rest = iter(subjects)
        while chunk := list(itertools.islice(rest, _CHUNK)):
            yield from self._found(chunk)

    def _found(self, chunk: Sequence[UserSubject]) -> Iterator[UserSubject]:
        touched = [{entry.item_id for entry in one.request.history} for one in chunk]
        found = self._retriever.find(self._space.experienced([one.request for one in chunk]), touched)
        for one, items in zip(chunk, found, strict=True):
            yield replace(one, request=replace(one.request, retrieved=items))
