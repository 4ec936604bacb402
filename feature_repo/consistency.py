"""Compares what the online store serves with the newest offline rows: they must be the same."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import lance
import numpy as np
import redis
from feast.infra.key_encoding_utils import deserialize_entity_key

from feature_repo.keys import KEY_VERSION, Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from feature_repo.schema import JOIN_KEYS, View, physical_views
from knowledge.base import TransientError, is_id

_ROUND_TRIP = 500


@dataclass(frozen=True)
class ViewReport:
    """One physical view: how many entities were compared, and the ids that differ."""

    view: str
    compared: int
    mismatch: tuple[str, ...]  # both stores have a row; event time or a feature differs
    missing: tuple[str, ...]  # online, not offline
    extra: tuple[str, ...]  # offline, not online

    @property
    def ok(self) -> bool:
        """Whether online equals offline."""
        return not (self.mismatch or self.missing or self.extra)


def compare(
    client: redis.Redis,
    keys: Keys,
    offline: OfflineBuffer,
    views: Sequence[str] | None = None,
    recheck_s: float = 2.0,
    pause: Callable[[float], None] = time.sleep,
) -> list[ViewReport]:
    """Compare every entity of the given physical views (default: all).

    What differs is looked at once more after `recheck_s` seconds: a worker's offline rows follow its online rows by
    up to its buffer's second. Holds the newest offline row of every entity of one view in memory.
    """
    online_ids = {entity: list(_online_ids(client, keys, entity)) for entity in JOIN_KEYS}
    reports = []
    for name, (view, slot) in physical_views().items():
        if views is not None and name not in views:
            continue
        report = _compare_view(client, keys, offline, name, view, slot, online_ids[view.entity])
        if not report.ok:
            if recheck_s:
                pause(recheck_s)
            suspects = [*report.mismatch, *report.missing, *report.extra]
            again = _compare_view(client, keys, offline, name, view, slot, suspects, only=suspects)
            report = ViewReport(name, report.compared, again.mismatch, again.missing, again.extra)
        reports.append(report)
    return reports


def _compare_view(
    client: redis.Redis,
    keys: Keys,
    offline: OfflineBuffer,
    name: str,
    view: View,
    slot: str | None,
    online_ids: Sequence[str],
    only: Sequence[str] | None = None,
) -> ViewReport:
    stored = _newest_offline(offline, name, JOIN_KEYS[view.entity], only)
    reader = FeatureReader(client, keys)
    mismatch, missing, seen = [], [], set()
    for start in range(0, len(online_ids), _ROUND_TRIP):
        ids = online_ids[start : start + _ROUND_TRIP]
        rows = reader.read(view.name, ids, slot=slot)
        times = reader.event_times(view.name, ids, slot=slot)
        for entity_id, row, at in zip(ids, rows, times, strict=True):
            if row is None or at is None:
                continue
            seen.add(entity_id)
            if entity_id not in stored:
                missing.append(entity_id)
            elif not _equal(row, at, stored[entity_id], view, slot):
                mismatch.append(entity_id)
    extra = sorted(set(stored) - seen)
    return ViewReport(name, len(seen | set(stored)), tuple(sorted(mismatch)), tuple(sorted(missing)), tuple(extra))


def _newest_offline(
    offline: OfflineBuffer, name: str, key: str, only: Sequence[str] | None
) -> dict[str, dict[str, Any]]:
    path = offline.path(name)
    if not path.exists():
        return {}
    table = lance.dataset(str(path)).to_table()
    times = table.select([key, "event_timestamp", "created_timestamp"]).to_pandas()
    times["position"] = range(len(times))
    newest = times.sort_values(["event_timestamp", "created_timestamp", "position"]).drop_duplicates(key, keep="last")
    if only is not None:
        newest = newest[newest[key].isin(list(only))]
    rows: list[dict[str, Any]] = table.take(newest["position"].to_numpy()).to_pylist()
    return {row[key]: row for row in rows}


def _equal(row: dict[str, Any], at: datetime, stored: dict[str, Any], view: View, slot: str | None) -> bool:
    if stored["event_timestamp"] != at:
        return False
    for feature in view.features:
        online, offline = row[feature.name], stored[view.feature(feature.name, slot)]
        if isinstance(online, np.ndarray):
            if offline is None or not np.array_equal(online, np.asarray(offline, np.float32)):
                return False
        elif online != offline:
            return False
    return True


def _online_ids(client: redis.Redis, keys: Keys, entity: str) -> Iterator[str]:
    project = keys.project.encode()
    try:
        for key in client.scan_iter(keys.prefix(entity) + b"*" + project, count=1000):
            try:
                parsed = deserialize_entity_key(key[: -len(project)], KEY_VERSION)
            except ValueError:  # of a project whose name ends like ours
                continue
            entity_id = parsed.entity_values[0].string_val
            if is_id(entity_id) and keys.row_key(entity, entity_id) == key:
                yield entity_id
    except redis.RedisError as error:
        raise TransientError("redis_unavailable", f"Redis did not answer ({error}): retry") from error
