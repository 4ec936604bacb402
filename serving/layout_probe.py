"""Proves on a probe row that our reader reads what Feast reads, bit for bit. An export that cannot show it fails."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import redis

from feature_repo import schema
from feature_repo.keys import Keys
from feature_repo.records import EntityWrite, FeatureRow
from feature_repo.writer import FeatureWriter
from knowledge.base import Clock, SystemClock, TerminalError, TransientError, micros
from serving.connection import StoreConnection, StoreUnavailable
from serving.item_cache import ItemRows
from serving.layout import ITEM_FEATURES, USER_FEATURES
from serving.reader import ITEM_NOT_IN_VOCABULARY, StoreReader, UserRow
from serving.store_layout import StoreLayout

if TYPE_CHECKING:
    from feast import FeatureStore

_REV = 3


def verify_layout(
    layout: StoreLayout, client: redis.Redis, redis_url: str, store: "FeatureStore", clock: Clock | None = None
) -> None:
    """Write a probe user and item, read them through Feast and through our reader, and compare bit for bit.

    `store` is the Feast repository with the views applied. The probe rows are deleted again, and are never offline.
    Raises `TerminalError` (`layout_mismatch`) that names what differs, `TransientError` if the store is down.
    """
    keys = Keys(layout.project)
    writer = FeatureWriter(client, keys)
    name = f"reki-layout-probe-{uuid.uuid4().hex}"
    release = "probe"
    now = micros((clock or SystemClock()).now())
    try:
        writer.write([*_probe_writes(name, layout.slot, release, now)])
        reader = StoreReader(layout, StoreConnection(redis_url, 5.0), release, {}, cache_rows=0, cache_ttl_s=1.0)
        try:
            ours = reader.read([name.encode()], [[name.encode()]])
        finally:
            reader.close()
        feast = _through_feast(store, name, layout.slot)
        _compare(feast, ours.users[0], ours.items, int(ours.rows([name.encode()])[0]))
    except StoreUnavailable as error:
        raise TransientError("redis_unavailable", str(error)) from error
    finally:
        for entity in ("user", "item"):
            writer.delete_entity(entity, name)


def _probe_writes(name: str, slot: str, release: str, now: int) -> tuple[EntityWrite, EntityWrite]:
    draw = np.random.default_rng(now)

    def numbers(size: int) -> list[float]:
        drawn = draw.standard_normal(size).astype(np.float32)
        # Numbers that a detour over text, float16 or flush-to-zero would change.
        drawn[:4] = (-0.0, np.finfo(np.float32).tiny / 4, np.finfo(np.float32).max, 1 / 3)
        return [float(number) for number in drawn]

    def row(view: schema.View, values: Mapping[str, Any]) -> FeatureRow:
        return FeatureRow(view.name, values, _REV, release, slot=slot if view.slotted else None)

    width = 2 * schema.FACTORS * schema.DIM
    ids = [f"probe:{place}" for place in range(schema.HISTORY)]
    user = (
        row(
            schema.USER_HISTORY,
            {"history_item_ids": ids, "history_values": numbers(len(ids)), "history_through": now},
        ),
        row(
            schema.USER_EXPERIENCED,
            {"experienced_vec": numbers(width), "experienced_stats": numbers(schema.STORED_STATS)},
        ),
        row(
            schema.USER_EXPECTED,
            {
                "expected_vec": numbers(width),
                "expected_anchors": numbers(schema.ANCHORS),
                "expected_summary": numbers(schema.SUMMARY),
                "expected_source": "probe|1|1",
            },
        ),
    )
    item = {"item_vec": numbers(schema.FACTORS * schema.DIM), "item_summary": numbers(schema.SUMMARY)}
    return EntityWrite("user", name, 0, user), EntityWrite("item", name, 0, (row(schema.ITEM_VECTOR, item),))


def _through_feast(store: "FeatureStore", name: str, slot: str) -> dict[str, Any]:
    """Logical feature name -> value, as the plain SDK answers it."""
    found: dict[str, Any] = {}
    for join_key, views in (("user_id", USER_FEATURES), ("item_id", ITEM_FEATURES)):
        asked = {
            f"{view.physical(slot)}:{view.feature(feature, slot)}": feature
            for view, names in views.items()
            for feature in names
        }
        answer = store.get_online_features(list(asked), [{join_key: name}]).to_dict()
        found |= {feature: answer[full.partition(":")[2]][0] for full, feature in asked.items()}
    return found


def _compare(feast: Mapping[str, Any], user: UserRow, items: ItemRows, row: int) -> None:
    ours = {
        "history_item_ids": [item_id.decode() for item_id in user.history],
        "history_values": user.history_values,
        "history_written_at": user.history_written_us,
        "experienced_vec": user.experienced,
        "experienced_stats": user.stats,
        "experienced_release": user.experienced_release,
        "expected_vec": user.expected,
        "expected_anchors": user.anchors,
        "expected_summary": user.summary,
        "expected_release": user.expected_release,
        "expected_source": user.expected_source,
        "expected_written_at": user.expected_written_us,
        "item_vec": items.vec[row],
        "item_summary": items.summary[row],
        "item_release": feast["item_release"] if items.bits[row] == ITEM_NOT_IN_VOCABULARY else None,
    }
    for name, value in feast.items():
        mine = ours[name]
        same = (
            mine is not None and np.asarray(value, np.float32).tobytes() == mine.tobytes()
            if isinstance(mine, np.ndarray)
            else mine == value
        )
        if value is None or not same:
            raise TerminalError(
                "layout_mismatch",
                f"feature {name} of the probe row is {str(value)[:80]} through Feast but {str(mine)[:80]} through "
                "the serving reader: Feast's storage format has changed, pin feast to the version in the lock file",
            )
    if user.rev != _REV or user.knowledge_rev != _REV:
        raise TerminalError("layout_mismatch", f"the probe row's revisions read as {user.rev} and {user.knowledge_rev}")
