"""Reads feature rows from Redis without Feast's SDK in between: one pipelined round trip per call."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import redis
from google.protobuf.timestamp_pb2 import Timestamp

from feature_repo.keys import Keys
from feature_repo.records import view_named
from feature_repo.values import decode
from knowledge.base import TerminalError, TransientError, from_micros


class FeatureReader:
    """Rows as the writer, or any Feast writer, left them. For workers and jobs; serving has its own faster reader."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._redis = client
        self._keys = keys

    def read(
        self, view: str, ids: Sequence[str], features: Sequence[str] | None = None, slot: str | None = None
    ) -> list[dict[str, Any] | None]:
        """One dict (logical feature name -> value) per id, None where the view has no row for it.

        Lists of floats are float32 arrays. Raises `TerminalError` (`bad_row`) for an unknown view or feature and
        `TransientError` (`redis_unavailable`).
        """
        shape = view_named(view)
        wanted = [feature for feature in shape.features if features is None or feature.name in features]
        if features is not None and len(wanted) != len(set(features)):
            raise TerminalError("bad_row", f"view {view} has no feature {sorted(set(features) - _names(wanted))}")
        physical = shape.physical(slot)
        fields = [self._keys.time_field(physical)]
        fields += [self._keys.field(physical, shape.feature(feature.name, slot)) for feature in wanted]
        return [
            None
            if stored[0] is None
            else {feature.name: decode(feature.kind, value) for feature, value in zip(wanted, stored[1:], strict=True)}
            for stored in self._fetch(shape.entity, ids, fields)
        ]

    def revs(self, view: str, ids: Sequence[str], slot: str | None = None) -> list[int | None]:
        """`source_rev` of each row; None where our writer has written none."""
        shape = view_named(view)
        rows = self._fetch(shape.entity, ids, [self._keys.rev_field(shape.physical(slot))])
        return [None if stored[0] is None else int(stored[0]) for stored in rows]

    def event_times(self, view: str, ids: Sequence[str], slot: str | None = None) -> list[datetime | None]:
        """When each row became readable (Feast's event time); None where there is no row."""
        shape = view_named(view)
        rows = self._fetch(shape.entity, ids, [self._keys.time_field(shape.physical(slot))])
        return [None if stored[0] is None else _time(stored[0]) for stored in rows]

    def _fetch(self, entity: str, ids: Sequence[str], fields: list[bytes]) -> list[list[bytes | None]]:
        try:
            pipe = self._redis.pipeline(transaction=False)
            for entity_id in ids:
                pipe.execute_command("HMGET", self._keys.row_key(entity, entity_id), *fields)  # type: ignore[no-untyped-call]
            return list(pipe.execute())
        except redis.RedisError as error:
            raise TransientError("redis_unavailable", f"Redis did not answer ({error}): retry") from error


def _names(features: Sequence[Any]) -> set[str]:
    return {feature.name for feature in features}


def _time(data: bytes) -> datetime:
    message = Timestamp.FromString(data)
    return from_micros(message.seconds * 1_000_000 + message.nanos // 1_000)
