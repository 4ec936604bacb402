"""Items found for users from an `ItemIndex`: what bulk runs and the refresh worker offer in a prompt, found alike.

A pure function of the request's history and the index: nothing else that could differ in a retry comes in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from encoders.experienced import experienced_many
from encoders.history import effective
from encoders.item_index import ItemIndex
from encoders.retrieval import Retriever
from knowledge.base import Polarity, micros
from knowledge.requests import UserRequest


@dataclass(frozen=True)
class HistoryEvent:
    """An event of a request, as `encoders.history.Entry`; µs since 1970 UTC."""

    item_id: str
    value: float
    polarity: Polarity
    occurred_at: int
    offset: int
    rev: int


def history_events(request: UserRequest) -> list[HistoryEvent]:
    """The events of the request's history; the broker's offsets are not told there, arrival stands in for them."""
    first = request.source_rev - len(request.history) + 1
    return [
        HistoryEvent(entry.item_id, entry.value, entry.polarity, micros(entry.occurred_at), -1, rev)
        for rev, entry in enumerate(request.history, start=first)
    ]


class Finder:
    """Finds by what users liked and disliked, in the index's own space. Safe to share between threads."""

    def __init__(self, index: ItemIndex) -> None:
        self.index = index
        self._rows = {item: row for row, item in enumerate(index.ids)}
        self._retriever = Retriever(index.ids, index.vectors.astype(np.float32), index.touches, index.first_seen)

    def found(self, request: UserRequest) -> UserRequest:
        """`request` with the items found for this user, and their titles."""
        return self.found_for([request])[0]

    def found_for(self, requests: Sequence[UserRequest]) -> list[UserRequest]:
        """The same of several users at once, which is quicker and finds the same."""
        touched = [{entry.item_id for entry in request.history} for request in requests]
        vectors: dict[str, npt.NDArray[np.float32]] = {
            item: self.index.vectors[self._rows[item]].astype(np.float32)
            for item in set().union(*touched)
            if item in self._rows
        }
        entries = [effective(history_events(request)) for request in requests]
        found = self._retriever.find(experienced_many(entries, vectors, self.index.shape), touched)
        return [
            replace(
                request, retrieved=items, retrieved_titles={item: self.index.titles[self._rows[item]] for item in items}
            )
            for request, items in zip(requests, found, strict=True)
        ]
