"""Recorded knowledge for MovieLens-100K, written offline by a large language model (see data/ml-100k/README.md)."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Self

from knowledge.base import Expectations, Knowledge, KnowledgeMode, TerminalError
from knowledge.catalogue import Catalogue, recorded_catalogue

RECORDED_MODEL = "recorded-llm"
RECORDED_TEMPLATE = "recorded-1"
RECORDED_AT = datetime(2026, 11, 1, tzinfo=UTC)  # the records carry no time of their own; all from one offline run


def without_touched(knowledge: Knowledge, touched: Collection[str]) -> tuple[Knowledge, int]:
    """`knowledge` without expected items and anchors that the user has touched, and how many likes and dislikes fell.

    What somebody has already rated cannot be expected of them: such an entry is a mistake of the LLM.
    """
    expected = knowledge.expectations
    if expected is None:
        return knowledge, 0
    likes = tuple(item_id for item_id in expected.likes if item_id not in touched)
    dislikes = tuple(item_id for item_id in expected.dislikes if item_id not in touched)
    anchors = {item_id: value for item_id, value in expected.anchors.items() if item_id not in touched}
    dropped = len(expected.likes) + len(expected.dislikes) - len(likes) - len(dislikes)
    weights = {item_id: weight for item_id, weight in expected.weights.items() if item_id not in touched}
    cleaned = Expectations(likes=likes, dislikes=dislikes, anchors=anchors, weights=weights)
    return knowledge.model_copy(update={"expectations": cleaned}), dropped


class RecordedStore:
    """Texts of items; for each user the initial record (after `history_length` events) and later refreshes.

    The ratings themselves may not be shipped, so the store does not know what a user has touched: the caller passes
    it in (`load(histories=...)` for all, `without_touched` for one), and `dropped` counts what fell for it.
    """

    model = RECORDED_MODEL
    template_version = RECORDED_TEMPLATE

    def __init__(
        self,
        catalogue: Catalogue,
        items: dict[str, dict[str, str]],
        records: dict[str, list[Knowledge]],
        history_length: dict[str, int],
    ) -> None:
        self.catalogue = catalogue
        self.history_length: Mapping[str, int] = history_length
        self.dropped = 0
        self._items = items
        self._records = records

    @classmethod
    def load(cls, folder: Traversable | None = None, histories: Mapping[str, Sequence[str]] | None = None) -> Self:
        """Read the package's data (or another folder of the same files; about 0.2 s).

        `histories` maps a user to the item ids of all their events in order of (time, item id as integer): every
        record is then cleaned against the user's first `source_rev` of them (MovieLens-100K: 298 entries fall).

        Raises:
            TerminalError: `bad_recorded` if a file is missing or does not hold what it should.
        """
        folder = folder or files("knowledge") / "data" / "ml-100k"
        try:
            catalogue = recorded_catalogue()
            items = {row["item_id"]: row["factors"] for row in _rows(folder, "items.jsonl")}
            history_length = json.loads((folder / "history_length.json").read_text(encoding="utf-8"))
            texts = {
                (row["user_id"], history_length[row["user_id"]]): row["factors"] for row in _rows(folder, "users.jsonl")
            }
            texts |= {(row["user_id"], row["events"]): row["factors"] for row in _rows(folder, "refreshes.jsonl")}
            records: dict[str, list[Knowledge]] = {}
            for row in _rows(folder, "expectations.jsonl"):
                knowledge = _knowledge(row, texts[row["user_id"], row["events"]], catalogue)
                records.setdefault(row["user_id"], []).append(knowledge)
        except (OSError, KeyError, ValueError) as error:
            raise TerminalError("bad_recorded", f"recorded knowledge in {folder} is damaged: {error!r}") from error
        for own in records.values():
            own.sort(key=lambda record: record.source_rev)
        store = cls(catalogue, items, records, history_length)
        if histories is not None:
            store._clean(histories)
        return store

    @property
    def catalogue_version(self) -> str:
        """Version of the anchors and the shortlist that the records were written with."""
        return self.catalogue.version

    def items(self) -> dict[str, dict[str, str]]:
        """Item id -> factor -> text."""
        return self._items

    def item(self, item_id: str) -> Knowledge | None:
        """One item's texts as a record."""
        factors = self._items.get(item_id)
        if factors is None:
            return None
        return Knowledge(entity="item", entity_id=item_id, factors=factors, source_rev=0, **self._provenance)

    def users(self) -> dict[str, Knowledge]:
        """User id -> the initial record, after the first `history_length` events."""
        return {user_id: own[0] for user_id, own in self._records.items()}

    def refreshes(self, user_id: str) -> list[Knowledge]:
        """All records of a user by `source_rev`, the initial one first; empty for an unknown user."""
        return list(self._records.get(user_id, ()))

    def is_refreshed(self, user_id: str) -> bool:
        """Whether there are records beyond the initial one."""
        return len(self._records.get(user_id, ())) > 1

    def newest(self, user_id: str, after_rev: int, up_to_rev: int) -> Knowledge | None:
        """The record that has seen most, with `after_rev` < `source_rev` <= `up_to_rev`; None if there is none."""
        seen = [k for k in self._records.get(user_id, ()) if after_rev < k.source_rev <= up_to_rev]
        return seen[-1] if seen else None

    @cached_property
    def _provenance(self) -> dict[str, Any]:
        return _provenance(self.catalogue)

    def _clean(self, histories: Mapping[str, Sequence[str]]) -> None:
        for user_id, own in self._records.items():
            history = histories.get(user_id, ())
            for place, knowledge in enumerate(own):
                own[place], dropped = without_touched(knowledge, set(history[: knowledge.source_rev]))
                self.dropped += dropped


def _rows(folder: Traversable, name: str) -> Iterator[Any]:
    with (folder / name).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _provenance(catalogue: Catalogue) -> dict[str, Any]:
    return {
        "mode": KnowledgeMode.RECORDED,
        "model": RECORDED_MODEL,
        "template_version": RECORDED_TEMPLATE,
        "catalogue_version": catalogue.version,
        "generated_at": RECORDED_AT,
    }


def _knowledge(row: Mapping[str, Any], factors: dict[str, str], catalogue: Catalogue) -> Knowledge:
    anchors = zip(catalogue.anchors, row["anchors"], strict=True)
    return Knowledge(
        entity="user",
        entity_id=row["user_id"],
        factors=factors,
        expectations=Expectations(
            likes=tuple(row["likes"]),
            dislikes=tuple(row["dislikes"]),
            anchors={item_id: float(value) for item_id, value in anchors if value is not None},
        ),
        source_rev=row["events"],
        **_provenance(catalogue),
    )
