"""Exports Feast's storage layout (key template, hashed field names) with Feast's own functions."""

import struct
from collections.abc import Mapping

from feature_repo import schema
from feature_repo.keys import Keys
from knowledge.base import TerminalError
from serving.store_layout import Sizes, StoreLayout

USER_FEATURES = {
    schema.USER_HISTORY: ("history_item_ids", "history_values", "history_written_at"),
    schema.USER_EXPERIENCED: ("experienced_vec", "experienced_stats", "experienced_release"),
    schema.USER_EXPECTED: (
        *("expected_vec", "expected_anchors", "expected_summary"),
        *("expected_release", "expected_source", "expected_written_at"),
    ),
}
ITEM_FEATURES = {schema.ITEM_VECTOR: ("item_vec", "item_summary", "item_release")}
_REVISIONS = (schema.USER_HISTORY, schema.USER_EXPECTED)

SIZES = Sizes(
    factors=schema.FACTORS,
    dim=schema.DIM,
    summary=schema.SUMMARY,
    anchors=schema.ANCHORS,
    history=schema.HISTORY,
    stored_stats=schema.STORED_STATS,
)


def feast_layout(keys: Keys, slot: str) -> StoreLayout:
    """The layout of one project and slot, taken from Feast's own key and field functions.

    Raises `TerminalError` (`layout_unknown`) if Feast's keys are no longer "prefix, length, id, suffix".
    """
    layout = StoreLayout(
        project=keys.project,
        slot=slot,
        sizes=SIZES,
        keys={entity: _key_template(keys, entity) for entity in ("user", "item")},
        fields={
            "user": _fields(keys, USER_FEATURES, slot)
            | {f"rev:{view.name}": keys.rev_field(view.physical(slot)) for view in _REVISIONS},
            "item": _fields(keys, ITEM_FEATURES, slot),
        },
    )
    for entity in ("user", "item"):
        for size in (1, 2, 9, 10, 13, 64, 99, 100):
            probe = "aZ0_.:@-"[: min(size, 8)] + "x" * max(size - 8, 0)
            if layout.key(entity, probe.encode()) != keys.row_key(entity, probe):
                raise TerminalError(
                    "layout_unknown",
                    f"Feast builds the key of {entity} {probe!r} in a way that serving does not know: "
                    "pin feast to the version in the lock file",
                )
    return layout


def _key_template(keys: Keys, entity: str) -> tuple[bytes, bytes]:
    marker = "reki-template-marker"
    whole = keys.row_key(entity, marker)
    before, found, after = whole.partition(struct.pack("<I", len(marker)) + marker.encode())
    if not found:
        raise TerminalError("layout_unknown", f"Feast's key of a {entity} does not hold the id with its length")
    return before, after


def _fields(keys: Keys, views: Mapping[schema.View, tuple[str, ...]], slot: str) -> dict[str, bytes]:
    return {
        name: keys.field(view.physical(slot), view.feature(name, slot))
        for view, names in views.items()
        for name in names
    }
