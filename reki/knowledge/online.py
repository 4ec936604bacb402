"""Users and items of a running stack, read from the stores as the workers read them."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import redis
from feast.infra.key_encoding_utils import deserialize_entity_key

from feature_repo.keys import KEY_VERSION, Keys
from feature_repo.reader import FeatureReader
from feature_repo.schema import JOIN_KEYS
from knowledge.base import ItemProfile, is_id
from knowledge.scenario import Scenario
from reki.knowledge.subjects import ItemSubject, UserSubject, in_order
from streams.control import Slots
from streams.knowledge_rows import Floats
from streams.redis_calls import redis_errors
from streams.release_parts import RefreshRelease
from streams.store import StateStore
from streams.told import items_told
from streams.user_encoder import UserEncoder
from streams.user_request import user_request

_CHUNK = 200


class OnlineSubjects:
    """`subjects.Subjects` of the stores that the settings name. Sync; one caller thread at a time.

    With a `scenario`, what it lists of an item's fields is told in histories, as the refresh worker tells it.
    """

    def __init__(self, client: redis.Redis, namespace: str, ring_size: int, scenario: Scenario | None = None) -> None:
        self._scenario = scenario
        self._redis = client
        self._keys = Keys(namespace)
        self._store = StateStore(client, self._keys, ring_size)
        self._reader = FeatureReader(client, self._keys)

    def titles(self, item_ids: Sequence[str]) -> Mapping[str, str]:
        """Titles; one round trip for each 1,000."""
        return {
            item: row["item_title"]
            for item, row in self._rows("item_profile", list(item_ids), ["item_title"], 1000)
            if row is not None and row["item_title"]
        }

    def user_ids(self, missing: bool = False) -> list[str]:
        """Users who have a state (a scan of the store)."""
        prefix, project = self._keys.prefix("user"), self._keys.project.encode()
        ids = in_order(set(self._scan(b"{" + prefix + b"*" + project + b"}:state", b"{", b"}:state")))
        return self._without_row(ids, "user_knowledge", "knowledge_mode") if missing else ids

    def item_ids(self, missing: bool = False) -> list[str]:
        """Items that have a profile (a scan of the store)."""
        found = set(self._scan(self._keys.prefix("item") + b"*" + self._keys.project.encode(), b"", b""))
        titles = self.titles(list(found))
        ids = in_order([item for item in found if item in titles])
        return self._without_row(ids, "item_knowledge", "item_knowledge_mode") if missing else ids

    def users(self, ids: Sequence[str]) -> Iterator[UserSubject]:
        """Full generations of all that the ring holds."""
        for chunk in _chunks(ids, _CHUNK):
            states = [one for one in self._store.read_many(chunk) if one is not None and one.ring and not one.forgotten]
            seen = list({entry.item_id for state in states for entry in state.ring})
            told = items_told(self._reader, seen, self._scenario)
            for state in states:
                yield UserSubject(user_request(state, state.rev, told), state.epoch)

    def items(self, ids: Sequence[str]) -> Iterator[ItemSubject]:
        """Profiles as they stand in view `item_profile`."""
        for item, row in self._rows("item_profile", ids, ["item_title", "item_fields"], _CHUNK):
            if row is not None and row["item_title"]:
                fields = json.loads(row["item_fields"] or "{}")
                yield ItemSubject(ItemProfile(item_id=item, title=row["item_title"], fields=fields))

    def item_vectors(self, release: RefreshRelease, ids: Sequence[str]) -> dict[str, Floats]:
        """Vectors f32[F, d] of those items that have one of this release in the active slot."""
        slot = Slots(self._redis, self._keys.project).current()[0]
        encoder = UserEncoder(release.condenser, self._reader, release.release_id, release.anchors, release.shape)
        return {
            item: vector for part in _chunks(ids, 1000) for item, vector in encoder.item_vectors(part, slot).items()
        }

    def _rows(
        self, view: str, ids: Sequence[str], features: Sequence[str], size: int
    ) -> Iterator[tuple[str, dict[str, Any] | None]]:
        for chunk in _chunks(ids, size):
            yield from zip(chunk, self._reader.read(view, chunk, features), strict=True)

    def _without_row(self, ids: Sequence[str], view: str, feature: str) -> list[str]:
        return [one for one, row in self._rows(view, ids, [feature], 1000) if row is None or not row[feature]]

    def _scan(self, pattern: bytes, before: bytes, after: bytes) -> Iterator[str]:
        project = self._keys.project.encode()
        with redis_errors():
            for whole in self._redis.scan_iter(pattern, count=1000):
                key = bytes(whole)[len(before) : len(whole) - len(after)]
                try:
                    parsed = deserialize_entity_key(key[: -len(project)], KEY_VERSION)
                except ValueError:  # of a project whose name ends like ours
                    continue
                entity_id = parsed.entity_values[0].string_val
                if is_id(entity_id) and self._keys.row_key(_ENTITY[parsed.join_keys[0]], entity_id) == key:
                    yield entity_id


_ENTITY = {join_key: entity for entity, join_key in JOIN_KEYS.items()}


def _chunks(values: Sequence[str], size: int) -> Iterator[list[str]]:
    rest = iter(values)
    while chunk := list(itertools.islice(rest, size)):
        yield chunk
