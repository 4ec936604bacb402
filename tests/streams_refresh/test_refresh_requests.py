"""Refresh requests: what is read back, and what is refused instead of crashing the worker."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.base import TerminalError
from streams.requests import RefreshRequest, encode_request, parse_request

REQUEST = RefreshRequest(
    user_id="u1", source_rev=12, epoch=0, requested_at=datetime(2026, 1, 1, tzinfo=UTC), reason="12 new events"
)


def test_a_request_is_read_back_as_it_was_written() -> None:
    assert parse_request(*encode_request(REQUEST)) == REQUEST


def test_how_far_taste_has_moved_travels_with_the_request_and_may_be_unknown() -> None:
    moved = REQUEST.model_copy(update={"drift": 0.4})
    assert parse_request(*encode_request(moved)) == moved
    key, value = encode_request(REQUEST)
    older = json.loads(value)
    del older["drift"]
    assert parse_request(key, json.dumps(older).encode()) == REQUEST


def test_a_tombstone_is_nothing_to_do() -> None:
    assert parse_request(b"u1", None) is None


def test_a_field_of_a_later_version_does_not_stop_this_one() -> None:
    key, value = encode_request(REQUEST)
    assert parse_request(key, value[:-1] + b',"budget":3}') == REQUEST


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (b"other", encode_request(REQUEST)[1], "key"),
        (None, encode_request(REQUEST)[1], "key"),
        (b"u1", b"not json", "JSON"),
        (b"u1", encode_request(REQUEST)[1].replace(b"12,", b"-1,", 1), "source_rev"),
        (b"u1", encode_request(REQUEST)[1].replace(b"Z", b""), "requested_at"),
        (b"u1", b" " * 5000, "bytes"),
        (b"u1", b"[" * 4000, "recursion"),
        (b"u1", encode_request(REQUEST)[1].replace(b"2026-01-01T00:00:00Z", b"0001-01-01T00:00:00+14:00"), "9999"),
        (b"u1", encode_request(REQUEST)[1].replace(b"2026-01-01T00:00:00Z", b"9999-12-31T23:59:59-14:00"), "9999"),
    ],
)
def test_a_bad_request_is_refused_with_what_is_wrong(key: bytes | None, value: bytes, says: str) -> None:
    with pytest.raises(TerminalError, match=says) as caught:
        parse_request(key, value)
    assert caught.value.reason == "bad_request"


@given(st.one_of(st.none(), st.binary(max_size=40)), st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_terminal_error(key: bytes | None, value: bytes) -> None:
    with pytest.raises(TerminalError):
        parse_request(key, value)


@given(
    st.dictionaries(
        st.sampled_from([*RefreshRequest.model_fields, "extra"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers()),
    )
)
def test_no_json_object_raises_anything_but_a_terminal_error(fields: dict[str, object]) -> None:
    with suppress(TerminalError):
        parse_request(b"u1", json.dumps({**REQUEST.model_dump(mode="json"), **fields}).encode())
