"""Feast's stored values without protobuf: the four kinds that our views use, floats read in place.

A stored value is a serialised `feast.types.Value`: one field that holds the value. Feast writes a list of floats as
one packed run of little-endian float32, so numpy reads it where it lies. Anything else that protobuf would accept
(unpacked lists, runs in pieces, unknown fields, several values of which the last counts) takes a slower way.
Only numpy and the standard library: this runs inside Triton.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

# Field numbers of feast.types.Value.
_STRING, _INT64, _STRINGS, _INT64S, _FLOATS = 2, 4, 12, 14, 16
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ONEOF = frozenset(range(1, 49))  # every field of Value belongs to one `oneof`: the last one on the wire wins

Floats = npt.NDArray[np.float32]


class BadValue(ValueError):
    """The bytes are not a value that protobuf would accept."""


def floats(data: bytes) -> Floats | None:
    """A list of floats, f32[n], read-only; None if the value is of another kind or null."""
    header = _header_of(len(data))
    if header is not None and data.startswith(header):
        return np.frombuffer(data, "<f4", offset=len(header))
    inner = _last(data, _FLOATS)
    if inner is None:
        return None
    runs = []
    for number, wire, chunk in _fields(inner):
        if number == 1 and wire in (_BYTES, _FIXED32):
            if len(chunk) % 4:
                raise BadValue(f"a run of floats has {len(chunk)} bytes")
            runs.append(chunk)
    return np.frombuffer(runs[0] if len(runs) == 1 else b"".join(runs), "<f4")


def text(data: bytes) -> str | None:
    """A string; None if the value is of another kind or null."""
    inner = _last(data, _STRING)
    return None if inner is None else bytes(inner).decode()


def texts(data: bytes) -> list[bytes] | None:
    """A list of strings as UTF-8 bytes (ids are compared as bytes); None if of another kind or null."""
    inner = _last(data, _STRINGS)
    if inner is None:
        return None
    raw = bytes(inner)
    found, at, end = [], 0, len(raw)
    while at < end - 1 and raw[at] == 0x0A and raw[at + 1] < 128:  # field 1, fewer than 128 bytes: every id
        stop = at + 2 + raw[at + 1]
        found.append(raw[at + 2 : stop])
        at = stop
    if at == end:
        return found
    return [bytes(chunk) for number, wire, chunk in _fields(inner) if number == 1 and wire == _BYTES]


def integer(data: bytes) -> int | None:
    """A 64-bit integer; None if the value is of another kind or null."""
    inner = _last(data, _INT64, _VARINT)
    return None if inner is None else _signed(_varint(inner, 0)[0])


def integers(data: bytes) -> list[int] | None:
    """A list of 64-bit integers; None if the value is of another kind or null."""
    inner = _last(data, _INT64S)
    if inner is None:
        return None
    found = []
    for number, wire, chunk in _fields(inner):
        if number == 1 and wire in (_BYTES, _VARINT):
            at = 0
            while at < len(chunk):
                value, at = _varint(chunk, at)
                found.append(_signed(value))
    return found


def float_rows(values: Sequence[bytes | None], out: Floats) -> npt.NDArray[np.bool_]:
    """Decode many lists of one width into `out` f32[n, width]; returns bool[n]: which rows are usable.

    A row that is missing, of another width or not finite is left as it is in `out` and answered with False: one bad
    row must not spoil a request.
    """
    width = out.shape[1]
    header = _header(4 * width)
    size = len(header) + 4 * width
    usable = np.zeros(len(values), np.bool_)
    plain = []
    for row, value in enumerate(values):
        if value is None:
            continue
        if len(value) == size and value.startswith(header):
            plain.append(row)
            continue
        try:
            odd = floats(value)
        except BadValue:
            continue
        if odd is not None and len(odd) == width and np.isfinite(odd).all():
            out[row] = odd
            usable[row] = True
    if plain:
        joined = np.frombuffer(b"".join([values[row] or b"" for row in plain]), np.uint8)
        block = np.ascontiguousarray(joined.reshape(len(plain), size)[:, len(header) :]).view("<f4")
        finite = np.isfinite(block).all(axis=1)
        rows = np.array(plain)[finite]
        out[rows] = block[finite]
        usable[rows] = True
    return usable


def _header(size: int) -> bytes:
    """What Feast writes before `size` bytes of packed floats."""
    inner = b"\x0a" + _encoded(size)
    return _encoded(_FLOATS << 3 | _BYTES) + _encoded(len(inner) + size) + inner


@lru_cache(maxsize=4096)
def _header_of(size: int) -> bytes | None:
    """The header that Feast writes if the whole value has `size` bytes; None where no list of floats is so long."""
    for length in range(4, 15):
        rest = size - length
        if rest > 0 and rest % 4 == 0 and len(_header(rest)) == length:
            return _header(rest)
    return None


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _last(data: bytes, field: int, wire: int = _BYTES) -> memoryview | None:
    """The content of `field` if the value ends up with it (the last one written counts); pieces are merged."""
    pieces: list[memoryview] = []
    for number, kind, chunk in _fields(memoryview(data)):
        if number == field and kind == wire:
            pieces.append(chunk)
        elif number in _ONEOF and number != field:
            pieces.clear()
    if not pieces:
        return None
    if len(pieces) == 1 or field in (_STRING, _INT64):  # the last scalar wins; pieces of a list are merged
        return pieces[-1]
    return memoryview(b"".join(pieces))


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Every field of a message: number, wire type, content (a varint's content is its own bytes)."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise BadValue("field number 0")
        if wire == _VARINT:
            _, stop = _varint(data, at)
        elif wire == _BYTES:
            length, at = _varint(data, at)
            stop = at + length
        elif wire == _FIXED32:
            stop = at + 4
        elif wire == _FIXED64:
            stop = at + 8
        else:
            raise BadValue(f"wire type {wire}")
        if stop > end:
            raise BadValue("the value is cut off")
        yield number, wire, data[at:stop]
        at = stop


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """An unsigned varint at `at`; returns it (modulo 2**64, as protobuf does) and the position behind it."""
    value, shift = 0, 0
    while True:
        if at >= len(data):
            raise BadValue("a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise BadValue("a number is too long")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
