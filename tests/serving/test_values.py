"""Our decoder against Feast's protobuf: a difference would be a silently wrong feature."""

import numpy as np
import pytest
from feast.protos.feast.types.Value_pb2 import (
    BytesList,
    DoubleList,
    FloatList,
    Int64List,
    Null,
    StringList,
    Value,
)
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from serving import values

FLOATS = st.lists(st.floats(width=32, allow_nan=False), max_size=400)
INTS = st.integers(-(2**63), 2**63 - 1)


@given(FLOATS)
def test_floats_are_read_bit_for_bit(numbers):
    message = Value(float_list_val=FloatList(val=numbers))
    expected = np.array(message.float_list_val.val, np.float32)
    assert values.floats(message.SerializeToString()).tobytes() == expected.tobytes()


@given(st.text(max_size=300))
def test_strings_are_read_as_protobuf_reads_them(words):
    assert values.text(Value(string_val=words).SerializeToString()) == words


@given(st.lists(st.text(max_size=200), max_size=60))
def test_lists_of_strings_keep_their_order_empty_and_long_ones_included(words):
    data = Value(string_list_val=StringList(val=words)).SerializeToString()
    assert values.texts(data) == [word.encode() for word in words]


@given(INTS, st.lists(INTS, max_size=30))
def test_negative_and_large_integers_do_not_wrap(number, numbers):
    assert values.integer(Value(int64_val=number).SerializeToString()) == number
    assert values.integers(Value(int64_list_val=Int64List(val=numbers)).SerializeToString()) == numbers


@pytest.mark.parametrize(
    "other",
    [
        Value(),
        Value(null_val=Null.NULL),
        Value(bool_val=True),
        Value(double_val=1.0),
        Value(float_val=1.0),
        Value(bytes_list_val=BytesList(val=[b"x"])),
        Value(double_list_val=DoubleList(val=[1.0, 2.0])),
    ],
)
def test_a_value_of_another_kind_is_none_and_not_misread(other):
    data = other.SerializeToString()
    decoders = (values.floats, values.text, values.texts, values.integer, values.integers)
    assert [decode(data) for decode in decoders] == [None] * 5


@given(FLOATS.filter(bool), FLOATS.filter(bool))
def test_floats_in_pieces_or_unpacked_are_read_like_protobuf_reads_them(first, second):
    packed = Value(float_list_val=FloatList(val=first)).SerializeToString()
    inner = b"".join(b"\x0d" + np.float32(number).tobytes() for number in second)
    unpacked = b"\x82\x01" + values._encoded(len(inner)) + inner  # noqa: SLF001 - builds what Feast never writes
    replaced = Value(string_val="before").SerializeToString() + packed
    for data in (unpacked, packed + unpacked, replaced, packed + b"\x9a\x06\x02hi"):
        expected = np.array(Value.FromString(data).float_list_val.val, np.float32)
        assert values.floats(data).tobytes() == expected.tobytes()
    assert values.floats(packed + Value(string_val="after").SerializeToString()) is None


@given(st.binary(max_size=60))
def test_damaged_bytes_never_give_a_vector_where_protobuf_refuses(data):
    try:
        read = values.floats(data)
    except values.BadValue:
        return  # refusing more than protobuf does is allowed: the row then counts as missing
    try:
        message = Value.FromString(data)
    except DecodeError:
        # Ours looks at less (not into other fields), but must not take such bytes for a list of floats.
        assert read is None or len(read) == 0
        return
    if read is not None:
        assert read.tobytes() == np.array(message.float_list_val.val, np.float32).tobytes()


def test_one_bad_row_does_not_spoil_the_others():
    def floats(*numbers):
        return Value(float_list_val=FloatList(val=numbers)).SerializeToString()

    inner = b"".join(b"\x0d" + np.float32(number).tobytes() for number in (7, 8))
    unpacked = b"\x82\x01" + bytes([len(inner)]) + inner
    rows = [floats(1, 2), None, floats(3), floats(4, float("nan")), b"\x82\x01\x0a\x0a\x08", floats(5, 6), unpacked]
    out = np.full((len(rows), 2), -1, np.float32)
    usable = values.float_rows(rows, out)
    assert usable.tolist() == [True, False, False, False, False, True, True]
    assert out[usable].tolist() == [[1, 2], [5, 6], [7, 8]]
    assert (out[~usable] == -1).all()
