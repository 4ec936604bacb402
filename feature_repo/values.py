"""Feature values: checked at the door, and turned into Feast's protobuf and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from feast.protos.feast.types.Value_pb2 import FloatList, StringList, Value

from feature_repo.records import FeatureRow, view_named
from feature_repo.schema import Feature, Kind
from knowledge.base import TerminalError

MAX_LIST = 1_000  # entries of a list without a fixed width
MAX_TEXT = 65_536  # characters of a string
_INT64 = 2**63


def check_row(row: FeatureRow, entity: str, written_at: int) -> dict[str, Any]:
    """Every feature of the row under its logical name, checked; raises `TerminalError` (`bad_row`) before any write.

    `<...>_written_at`, `<...>_rev` and `<...>_release` may be left out: they are `written_at` (µs), the row's
    `source_rev` and its release; if given, the last two must agree. Lists of floats come back as float32 arrays.
    """
    view = view_named(row.view)
    if view.entity != entity:
        raise _bad(row, f"belongs to entity {view.entity}, not {entity}")
    if view.slotted != (row.slot is not None):
        raise _bad(row, "needs a slot" if view.slotted else "has no slots")
    if not _is_int(row.source_rev) or row.source_rev < 0 or not _is_int(row.generation) or row.generation < 0:
        raise _bad(row, f"source_rev {row.source_rev!r} and generation {row.generation!r} must be whole and >= 0")
    unknown = set(row.values) - {feature.name for feature in view.features}
    if unknown:
        raise _bad(row, f"has no feature {sorted(unknown)}")
    implied = {"_written_at": written_at, "_rev": row.source_rev, "_release": row.release}
    checked = {}
    for feature in view.features:
        default = next((value for suffix, value in implied.items() if feature.name.endswith(suffix)), None)
        value = row.values.get(feature.name, default)
        if value is None:
            raise _bad(row, f"lacks feature {feature.name}")
        checked[feature.name] = _checked(row, feature, value)
        if not feature.name.endswith("_written_at") and default is not None and checked[feature.name] != default:
            raise _bad(row, f"says {feature.name} = {value!r} but the row's own is {default!r}")
    return checked


def encode(kind: Kind, value: Any) -> bytes:  # noqa: ANN401 - a feature's value is whatever its kind says
    """Feast's protobuf of a checked value, serialised."""
    if kind is Kind.STRING:
        message = Value(string_val=value)
    elif kind is Kind.INT:
        message = Value(int64_val=value)
    elif kind is Kind.STRINGS:
        message = Value(string_list_val=StringList(val=value))
    else:
        message = Value(float_list_val=FloatList(val=value.tolist()))
    return bytes(message.SerializeToString())


def decode(kind: Kind, data: bytes | None) -> Any:  # noqa: ANN401
    """The inverse of `encode`; None where the field is missing or holds no value of this kind."""
    if data is None:
        return None
    message = Value.FromString(data)
    if kind is Kind.STRING and message.HasField("string_val"):
        return message.string_val
    if kind is Kind.INT and message.HasField("int64_val"):
        return message.int64_val
    if kind is Kind.STRINGS and message.HasField("string_list_val"):
        return list(message.string_list_val.val)
    if kind is Kind.FLOATS and message.HasField("float_list_val"):
        return np.array(message.float_list_val.val, np.float32)
    return None


def physical_values(row: FeatureRow, checked: Mapping[str, Any]) -> dict[str, Any]:
    """Checked values under their physical names."""
    view = view_named(row.view)
    return {view.feature(name, row.slot): value for name, value in checked.items()}


def _checked(row: FeatureRow, feature: Feature, value: Any) -> Any:  # noqa: ANN401
    if feature.kind is Kind.STRING:
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise _bad(row, f"{feature.name} must be a string of at most {MAX_TEXT} characters")
        return _utf8(row, feature, value)
    if feature.kind is Kind.INT:
        if not _is_int(value) or not -_INT64 <= value < _INT64:
            raise _bad(row, f"{feature.name} must be a whole number of 64 bits, not {value!r}")
        return int(value)
    if isinstance(value, str | bytes):
        raise _bad(row, f"{feature.name} must be a list, not text")
    if feature.kind is Kind.STRINGS:
        entries = list(value)
        if len(entries) > MAX_LIST or not all(isinstance(entry, str) for entry in entries):
            raise _bad(row, f"{feature.name} must be at most {MAX_LIST} strings")
        return [_utf8(row, feature, entry) for entry in entries]
    return _vector(row, feature, value)


def _vector(row: FeatureRow, feature: Feature, value: Any) -> np.ndarray[Any, np.dtype[np.float32]]:  # noqa: ANN401
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        vector = value
    else:
        try:
            with np.errstate(over="ignore"):  # an overflow becomes infinite and is refused below
                vector = np.asarray(value, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise _bad(row, f"{feature.name} must be numbers: {error}") from None
    if vector.ndim != 1:
        raise _bad(row, f"{feature.name} must be flat, not of shape {vector.shape}: reshape(-1) it")
    if feature.width is not None and len(vector) != feature.width:
        raise _bad(row, f"{feature.name} must have {feature.width} numbers, not {len(vector)}")
    if len(vector) > MAX_LIST:
        raise _bad(row, f"{feature.name} must have at most {MAX_LIST} numbers, not {len(vector)}")
    if not np.isfinite(vector).all():
        raise _bad(row, f"{feature.name} has numbers that are not finite")
    return vector


def _utf8(row: FeatureRow, feature: Feature, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _bad(row, f"{feature.name} is not valid text (a lone surrogate): decode it as UTF-8 first") from None
    return text


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _bad(row: FeatureRow, what: str) -> TerminalError:
    return TerminalError("bad_row", f"view {row.view}: {what}")
