"""The one writer: all rows of an entity in one Lua call on Feast's own hash, then the offline rows.

Order of newness is `source_rev`, never time; the event time is allotted inside the call, so that it is the moment at
which the row became readable. Plain Feast writers (`push`, `materialize`) stay ordered by time only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Protocol

import redis

from feature_repo.keys import Keys
from feature_repo.records import EntityWrite, FeatureRow, Outcome, RowResult, view_named
from feature_repo.schema import JOIN_KEYS
from feature_repo.values import check_row, decode, encode, physical_values
from knowledge.base import Clock, SystemClock, TerminalError, TransientError, from_micros, micros

_SCRIPT = files("feature_repo").joinpath("write.lua").read_text()
_ROUND_TRIP = 500  # entities per pipeline: a few MB of vectors at most


class OfflineRows(Protocol):
    """Where offline rows go (`feature_repo.offline.OfflineBuffer`)."""

    def append(self, view: str, rows: Sequence[dict[str, Any]]) -> None:
        """Buffer rows of one physical view."""
        ...

    def flush(self) -> None:
        """Return when every buffered row is on disk."""
        ...

    def delete(self, entity: str, ids: Sequence[str], below_epoch: int | None = None) -> None:
        """Delete the rows of these entities; with `below_epoch` only those of earlier lives."""
        ...

    def close(self) -> None:
        """Flush."""
        ...


@dataclass
class _Call:
    """One entity's Lua call, ready to be sent."""

    write: EntityWrite
    values: list[dict[str, Any]]
    keys: list[bytes]
    arguments: list[bytes | str | int]
    reply: list[list[Any]] = field(default_factory=list)


class FeatureWriter:
    """Writes online at once and offline buffered. For one thread at a time.

    After a `TransientError` call `write` again with the same rows: what had been written answers `REPEATED` with its
    first time and is appended offline again (the compactor removes the double).
    """

    def __init__(
        self, client: redis.Redis, keys: Keys, offline: OfflineRows | None = None, clock: Clock | None = None
    ) -> None:
        self._redis = client
        self._keys = keys
        self._offline = offline
        self._clock = clock or SystemClock()
        self._sha: str | None = None

    def write(self, writes: Sequence[EntityWrite]) -> list[tuple[RowResult, ...]]:
        """Write; the answers stand in the order of `writes` and of their rows.

        Raises:
            TerminalError: `bad_row` or `bad_id`; nothing of `writes` was written.
            TransientError: `redis_unavailable` or `offline_unavailable`; some of it may have been written.
        """
        now = micros(self._clock.now())
        calls = [self._prepare(write, now) for write in writes]
        for start in range(0, len(calls), _ROUND_TRIP):
            self._send(calls[start : start + _ROUND_TRIP])
        results = [
            tuple(_result(row, reply) for row, reply in zip(call.write.rows, call.reply, strict=True)) for call in calls
        ]
        if self._offline is not None:
            by_view: dict[str, list[dict[str, Any]]] = {}
            for call, answers in zip(calls, results, strict=True):
                for view, offline_row in self._offline_rows(call, answers, now):
                    by_view.setdefault(view, []).append(offline_row)
            for view, rows in by_view.items():
                self._offline.append(view, rows)
        return results

    def flush(self) -> None:
        """Return when every offline row is on disk; call it before committing offsets."""
        if self._offline is not None:
            self._offline.flush()

    def close(self) -> None:
        """Flush and let go; the Redis client is the caller's."""
        if self._offline is not None:
            self._offline.close()

    def delete_entity(self, entity: str, entity_id: str, below_epoch: int | None = None) -> None:
        """Delete every row of one entity, online and offline.

        The user's state is not touched: raise its epoch *before* calling this, or a write in flight brings rows back.
        Call it a second time after the longest deadline of a writer, with `below_epoch` = the raised epoch: that
        deletes what a writer had buffered offline (window R6) and spares the user's new life, online included.
        """
        key = self._keys.row_key(entity, entity_id)
        if below_epoch is None:
            try:
                self._redis.unlink(key)
            except redis.RedisError as error:
                raise _unavailable(error) from error
        if self._offline is not None:
            self._offline.delete(entity, [entity_id], below_epoch)

    def _prepare(self, write: EntityWrite, now: int) -> _Call:
        if write.entity not in JOIN_KEYS:
            raise TerminalError("bad_row", f"there is no entity {write.entity!r}: use {' or '.join(JOIN_KEYS)}")
        keys = [self._keys.row_key(write.entity, write.entity_id)]
        arguments: list[bytes | str | int] = ["", len(write.rows)]
        if write.entity == "user":
            keys.append(self._keys.state_key(write.entity_id))
            arguments[0] = write.epoch
        checked_rows = []
        for row in write.rows:
            view = view_named(row.view)
            checked = check_row(row, write.entity, now)
            physical = view.physical(row.slot)
            arguments += [physical, row.source_rev, row.generation, row.release, len(view.features)]
            for feature in view.features:
                arguments.append(self._keys.field(physical, view.feature(feature.name, row.slot)))
                arguments.append(encode(feature.kind, checked[feature.name]))
            checked_rows.append(checked)
        return _Call(write, checked_rows, keys, arguments)

    def _send(self, calls: list[_Call]) -> None:
        try:
            if self._sha is None:
                self._sha = str(self._redis.script_load(_SCRIPT))
            waiting = self._round_trip(self._sha, calls)
            if waiting:  # the server was restarted and has lost its scripts
                self._sha = str(self._redis.script_load(_SCRIPT))
                if self._round_trip(self._sha, waiting):
                    raise TransientError("redis_unavailable", "Redis loses scripts as fast as they are loaded: retry")
        except redis.RedisError as error:
            raise _unavailable(error) from error

    def _round_trip(self, sha: str, calls: list[_Call]) -> list[_Call]:
        """Send all; return those that the server did not know the script for."""
        pipe = self._redis.pipeline(transaction=False)
        for call in calls:
            pipe.evalsha(sha, len(call.keys), *call.keys, *call.arguments)
        unknown = []
        for call, reply in zip(calls, pipe.execute(raise_on_error=False), strict=True):
            if isinstance(reply, redis.exceptions.NoScriptError):
                unknown.append(call)
            elif isinstance(reply, Exception):
                raise reply
            else:
                call.reply = reply
        return unknown

    def _offline_rows(
        self, call: _Call, results: Sequence[RowResult], now: int
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for row, values, reply, result in zip(call.write.rows, call.values, call.reply, results, strict=True):
            if result.outcome not in {Outcome.WRITTEN, Outcome.REPEATED}:
                continue
            kept = _stored(row, reply) or values
            written_at = next((at for name, at in kept.items() if name.endswith("_written_at")), now)
            yield (
                result.view,
                {
                    JOIN_KEYS[call.write.entity]: call.write.entity_id,
                    "event_timestamp": result.event_time,
                    "created_timestamp": from_micros(written_at),
                    **physical_values(row, kept),
                    "source_rev": row.source_rev,
                    "epoch": call.write.epoch,
                    "write_id": row.write_id,
                    "release": row.release,
                    "written_at": from_micros(written_at),
                    **row.extra,
                },
            )


def _result(row: FeatureRow, reply: list[Any]) -> RowResult:
    outcome, micros_text = reply[0], reply[1]
    return RowResult(view_named(row.view).physical(row.slot), Outcome(outcome.decode()), from_micros(int(micros_text)))


def _stored(row: FeatureRow, reply: list[Any]) -> dict[str, Any] | None:
    """What the online store already held for a repeated write: the offline row must equal it, not the retry."""
    stored = reply[2:]
    features = view_named(row.view).features
    if len(stored) != len(features) or any(value is None for value in stored):
        return None
    return {feature.name: decode(feature.kind, value) for feature, value in zip(features, stored, strict=True)}


def _unavailable(error: redis.RedisError) -> TransientError:
    return TransientError("redis_unavailable", f"Redis did not take the write ({error}): it is retried")
