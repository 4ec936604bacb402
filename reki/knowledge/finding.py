"""Large catalogues: which items can be found for users, and how well known they are, read from all histories."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from encoders.finder import Finder
from encoders.item_index import ItemIndex, load_index
from knowledge.base import TerminalError
from reki.knowledge.population import ItemSpace, item_space
from reki.knowledge.subjects import Subjects, UserSubject
from reki.settings import Settings

if TYPE_CHECKING:
    from streams.release_parts import RefreshRelease

_CHUNK = 200


@dataclass(frozen=True)
class Known:
    """By how many people each item was touched, when first (seconds since 1970), and how many people there are."""

    touches: Counter[str]
    first_seen: dict[str, float]
    people: int

    @classmethod
    def by(cls, subjects: Subjects) -> "Known":
        """One pass over all histories, as far as they are held."""
        touches: Counter[str] = Counter()
        first: dict[str, float] = {}
        people = 0
        for subject in subjects.users(subjects.user_ids()):
            people += 1
            history = subject.request.history
            touches.update({entry.item_id for entry in history})
            for entry in history:
                at = entry.occurred_at.timestamp()
                first[entry.item_id] = min(at, first.get(entry.item_id, at))
        return cls(touches, first, people)


def index_of(subjects: Subjects, space: ItemSpace, known: Known) -> ItemIndex:
    """All items that have a vector in `space`, and a title. Raises `TerminalError` (`no_subjects`) without any."""
    titles = subjects.titles(list(space.vectors))
    ids = [item for item in space.vectors if item in titles]
    if not ids:
        raise TerminalError("no_subjects", "no item has a title and a vector: load items, then generate items")
    vectors = np.stack([space.vectors[item] for item in ids])
    # Only directions count, so any scale will do: this one fits half precision.
    scale = float(np.abs(vectors).max()) or 1.0
    return ItemIndex(
        representation=f"items{space.name}",
        ids=tuple(ids),
        titles=tuple(titles[item] for item in ids),
        vectors=(vectors / scale).astype(np.float16),
        touches=np.array([known.touches[item] for item in ids], dtype=np.int64),
        # What nobody has touched is the freshest of all.
        first_seen=np.array([known.first_seen.get(item, np.inf) for item in ids], dtype=np.float64),
    )


def open_finder(subjects: Subjects, settings: Settings, release: "RefreshRelease | None") -> Finder:
    """The finder of the refresh worker where a file is named for it, so that both ask the same; else a new one."""
    file = settings.knowledge.find_file
    if file is not None:
        return Finder(load_index(file))
    space = item_space(subjects, subjects.item_ids(), settings.encoders, release)
    return Finder(index_of(subjects, space, Known.by(subjects)))


def found_for(finder: Finder, subjects: Iterable[UserSubject]) -> Iterator[UserSubject]:
    """The same subjects, with what was found for each; read lazily."""
    rest = iter(subjects)
    while chunk := list(itertools.islice(rest, _CHUNK)):
        yield from _found(finder, chunk)


def _found(finder: Finder, chunk: Sequence[UserSubject]) -> Iterator[UserSubject]:
    requests = finder.found_for([one.request for one in chunk])
    for one, request in zip(chunk, requests, strict=True):
        yield replace(one, request=request)
