"""The arguments of `recommend` as Triton's tensors; what no tensor can carry is refused before anything is sent."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import tritonclient.grpc as triton

from knowledge.base import TerminalError

_LONGEST_S = 86_400.0  # a day: gRPC takes a deadline that is very far away for one that has passed
_INT32, _FLOAT32 = np.iinfo(np.int32).max, float(np.finfo(np.float32).max)
_PAIR = 2


def candidates(item_ids: Iterable[str]) -> tuple[str, ...]:
    """All of `item_ids`, read once; raises `TerminalError` (`invalid_argument`) where they are none."""
    if isinstance(item_ids, str):
        raise _invalid("item_ids is one string: give a list of ids")
    return _listed("item_ids", item_ids, "ids")


def deadline(deadline_s: float | None, default_s: float) -> float:
    """Seconds to wait, at most a day; raises `TerminalError` (`invalid_argument`) for none that can be waited."""
    if deadline_s is None:
        return min(default_s, _LONGEST_S)
    if not _is_number(deadline_s) or not 0 < deadline_s < float("inf"):
        raise _invalid(f"deadline_s is {deadline_s!r}: give seconds above 0, or None for the deadline of the settings")
    return float(min(deadline_s, _LONGEST_S))


def inputs(
    user_id: str, item_ids: Sequence[str], top_k: int | None, recent: Iterable[tuple[str, float]], explain: bool
) -> list[Any]:
    """The tensors of one request; raises `TerminalError` (`invalid_argument`)."""
    tensors = [_ids("user_id", [user_id]), _ids("item_ids", item_ids)]
    events = _events(recent)
    if events:
        tensors.append(_ids("recent_item_ids", [item_id for item_id, _ in events]))
        tensors.append(_numbers("recent_values", "FP32", np.array([[value for _, value in events]], np.float32)))
    if top_k is not None:
        if not _is_number(top_k, Integral) or not 1 <= top_k <= _INT32:
            raise _invalid(f"top_k is {top_k!r}: give a whole number from 1 to {_INT32}, or None for all")
        tensors.append(_numbers("top_k", "INT32", np.array([[top_k]], np.int32)))
    if explain:
        tensors.append(_numbers("explain", "BOOL", np.array([[True]])))
    return tensors


def _events(recent: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    events = []
    for event in _listed("recent", recent, "(item id, value) pairs"):
        if not isinstance(event, Sequence) or isinstance(event, str) or len(event) != _PAIR:
            raise _invalid(f"recent holds {_short(event)}: give (item id, value) pairs")
        item_id, value = event
        if not _is_number(value) or not abs(value) <= _FLOAT32:  # also true for NaN
            raise _invalid(f"recent holds the value {_short(value)}: give a number on the scenario's scale")
        events.append((item_id, float(value)))
    return events


def _listed(name: str, values: Any, what: str) -> tuple[Any, ...]:  # noqa: ANN401 - it is checked here
    try:
        each = None if isinstance(values, Mapping | bytes) else iter(values)
    except TypeError:
        each = None
    if each is None:
        raise _invalid(f"{name} is {_short(values)}: give a list of {what}")
    return tuple(each)


def _is_number(value: object, kind: type = Real) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _ids(name: str, ids: Sequence[str]) -> Any:  # noqa: ANN401 - tritonclient is untyped
    try:
        data = np.array([str.encode(item_id) for item_id in ids], np.object_).reshape(1, len(ids))
    except (TypeError, UnicodeEncodeError) as error:
        raise _invalid(f"{name} must be strings: {error}") from None
    return _numbers(name, "BYTES", data)


def _numbers(name: str, kind: str, data: np.ndarray[Any, Any]) -> Any:  # noqa: ANN401 - tritonclient is untyped
    tensor = triton.InferInput(name, list(data.shape), kind)
    tensor.set_data_from_numpy(data)
    return tensor


def _short(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 80 else said[:77] + "..."


def _invalid(message: str) -> TerminalError:
    return TerminalError("invalid_argument", message)
