"""Feast's key layout in Redis, built by Feast's own functions so that it cannot drift from what Feast reads."""

from functools import lru_cache

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.schema import JOIN_KEYS
from knowledge.base import check_id

KEY_VERSION = 3  # entity_key_serialization_version in feature_store.yaml


class Keys:
    """Keys and hash fields of one Feast project."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.row_key = lru_cache(maxsize=65_536)(self._row_key)

    def _row_key(self, entity: str, entity_id: str) -> bytes:
        """Key of the Feast hash of one entity; `entity` is "user" or "item".

        Raises `TerminalError` (reason `bad_id`) for an id that may not be part of a key.
        """
        return _redis_key(self.project, _entity_key(entity, check_id(entity_id)), KEY_VERSION)

    def state_key(self, user_id: str) -> bytes:
        """Key of the user's state, in the same cluster slot as the Feast hash."""
        return b"{" + self.row_key("user", user_id) + b"}:state"

    def prefix(self, entity: str) -> bytes:
        """What every row key of `entity` in every project starts with; for scans."""
        whole = serialize_entity_key(_entity_key(entity, "x"), KEY_VERSION)
        return whole[: whole.index(JOIN_KEYS[entity].encode()) + len(JOIN_KEYS[entity])]

    @staticmethod
    @lru_cache(maxsize=1024)
    def field(view: str, feature: str) -> bytes:
        """Hash field of one feature (4 bytes); both names are the physical ones."""
        return bytes(_mmh3(f"{view}:{feature}"))

    @staticmethod
    def time_field(view: str) -> bytes:
        """Feast's own event time of a row: a serialised protobuf Timestamp."""
        return f"_ts:{view}".encode()

    @staticmethod
    def rev_field(view: str) -> bytes:
        """Ours: `source_rev` of the row, in decimal digits."""
        return f"_rev:{view}".encode()

    @staticmethod
    def write_id_field(view: str) -> bytes:
        """Ours: the write id of the row."""
        return f"_wid:{view}".encode()

    @staticmethod
    def micros_field(view: str) -> bytes:
        """Ours: the allotted event time in µs, in decimal digits."""
        return f"_us:{view}".encode()


def _entity_key(entity: str, entity_id: str) -> EntityKey:
    return EntityKey(join_keys=[JOIN_KEYS[entity]], entity_values=[Value(string_val=entity_id)])
