"""Knowledge as it stands in Feast's online store: what counts for the ranker, whoever wrote it."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from feature_repo.keys import Keys
from feature_repo.reader import FeatureReader
from knowledge.base import Knowledge, KnowledgeMode, from_micros
from knowledge.catalogue import recorded_catalogue
from reki.knowledge.online import OnlineSubjects
from reki.settings import Settings
from streams.knowledge_rows import knowledge_from_row
from streams.redis_calls import connect
from streams.store import StateStore

_CHUNK = 200


class InForce:
    """Reads records, titles and how many events users have by now."""

    def __init__(self, settings: Settings) -> None:
        features, ring = settings.feature_repo, settings.streams.ring_size
        self._client = connect(features.redis_url)
        keys = Keys(features.namespace)
        self._reader = FeatureReader(self._client, keys)
        self._states = StateStore(self._client, keys, ring)
        self._subjects = OnlineSubjects(self._client, features.namespace, ring)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def read(self, entity: str, ids: Sequence[str]) -> list[Knowledge | None]:
        """One record per id, None where there is none. What a row does not keep (tokens, changes) is left out."""
        rows = self._reader.read(f"{entity}_knowledge", ids)
        record = knowledge_from_row if entity == "user" else _item
        return [record(entity_id, row) for entity_id, row in zip(ids, rows, strict=True)]

    def all(self, entity: str) -> Iterator[Knowledge]:
        """Every record of users or items that the stack holds."""
        rest = iter(self._subjects.user_ids() if entity == "user" else self._subjects.item_ids())
        while chunk := list(itertools.islice(rest, _CHUNK)):
            yield from (one for one in self.read(entity, chunk) if one is not None)

    def events(self, user_id: str) -> int | None:
        """How many events the user has by now; None for a user without a state."""
        state = self._states.read(user_id)
        return None if state is None else state.rev

    def titles(self, item_ids: Sequence[str]) -> Mapping[str, str]:
        """Titles of those items that the stack knows."""
        return self._subjects.titles(item_ids)


@contextmanager
def opened_in_force(settings: Settings) -> Iterator[InForce]:
    """Connected, and closed again."""
    source = InForce(settings)
    try:
        yield source
    finally:
        source.close()


def _item(item_id: str, row: Mapping[str, Any] | None) -> Knowledge | None:
    if row is None or not row["item_factors"]:
        return None
    mode = KnowledgeMode(row["item_knowledge_mode"])
    return Knowledge(
        entity="item",
        entity_id=item_id,
        factors=json.loads(row["item_factors"]),
        mode=mode,
        model=row["item_knowledge_model"],
        template_version=row["item_knowledge_template_version"],
        # Items are asked about without a catalogue; a row has no column for it.
        catalogue_version=recorded_catalogue().version if mode is KnowledgeMode.RECORDED else "none",
        source_rev=0,
        generated_at=from_micros(int(row["item_knowledge_written_at"])),
    )
