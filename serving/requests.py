"""Checks one request of `recommend` before anything is read for it. numpy only: this runs inside Triton."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from serving.session import Recent
from serving.tensors import Wanted

# The same rule as knowledge.base.ids, on bytes; a whole list is checked in one go.
_ID = re.compile(rb"[A-Za-z0-9_.:@-]{1,100}")
_IDS = re.compile(rb"(?:[A-Za-z0-9_.:@-]{1,100}\n)*")
_RULE = "an id is 1 to 100 characters from A-Z a-z 0-9 _ . : @ -"

Array = npt.NDArray[np.generic]


class BadRequest(ValueError):
    """The request will never be answered as it is; the message says why."""


def check_request(
    user_id: Array,
    item_ids: Array,
    recent_item_ids: Array | None,
    recent_values: Array | None,
    max_items: int,
    value_range: tuple[float, float],
) -> Wanted:
    """Read the tensors of one request, each with a leading batch dimension of 1. Raises `BadRequest`."""
    for name, tensor in (("user_id", user_id), ("item_ids", item_ids)):
        if tensor.ndim != 2 or tensor.shape[0] != 1:
            raise BadRequest(f"{name} has shape {list(tensor.shape)}: send one user per request, shape [1, n]")
    if item_ids.shape[1] > max_items:
        raise BadRequest(f"item_ids names {item_ids.shape[1]} candidates: at most {max_items} are scored at once")
    users = user_id[0].tolist()
    items = item_ids[0].tolist()
    _check_ids("user_id", users)
    _check_ids("item_ids", items)
    return Wanted(users[0], items, _recent(recent_item_ids, recent_values, value_range))


def _recent(ids: Array | None, numbers: Array | None, value_range: tuple[float, float]) -> tuple[Recent, ...]:
    if ids is None and numbers is None:
        return ()
    if ids is None or numbers is None or ids.shape != numbers.shape or len(ids) != 1:
        raise BadRequest("recent_item_ids and recent_values come together and have the same shape [1, n]")
    items, stars = ids[0].tolist(), numbers[0].tolist()
    if len(items) > 100:
        raise BadRequest(f"recent_item_ids names {len(items)} events: at most 100, newest first")
    _check_ids("recent_item_ids", items)
    low, high = value_range
    for value in stars:
        if not low <= value <= high:  # also true for NaN
            raise BadRequest(f"recent_values holds {value}: the scale goes from {low:g} to {high:g}")
    return tuple(Recent(item, value) for item, value in zip(items, stars, strict=True))


def _check_ids(name: str, ids: Sequence[bytes]) -> None:
    joined = b"\n".join([*ids, b""])
    if _IDS.fullmatch(joined) and joined.count(b"\n") == len(ids):
        return
    bad = next(item_id for item_id in ids if not _ID.fullmatch(item_id))
    raise BadRequest(f"{name} holds {bad[:120]!r}, which is not an id: {_RULE}")
