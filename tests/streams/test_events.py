"""Whatever stands on the topic, it is an event, a wish to forget, or a terminal error with a reason: nothing else."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowledge.base import Action, BehaviorEvent, TerminalError, from_micros, micros
from streams.events import ForgetUser, encode_event, encode_key, parse_event

GOOD = {
    "event_id": "e1",
    "user_id": "u1",
    "item_id": "i1",
    "action": "rate",
    "value": 4.5,
    "occurred_at": "2020-01-01T00:00:00Z",
}
ids = st.from_regex(r"[A-Za-z0-9_.:@-]{1,100}", fullmatch=True)


def record(**changes):
    fields = {**GOOD, **changes}
    return json.dumps({name: value for name, value in fields.items() if value != "absent"}).encode()


@given(
    event=st.builds(
        BehaviorEvent,
        event_id=ids,
        user_id=ids,
        item_id=ids,
        action=st.sampled_from(Action),
        value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        occurred_at=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])),
    )
)
def test_an_event_survives_the_wire_exactly(event):
    assert parse_event(encode_key(event.user_id), encode_event(event)) == event


@given(key=st.none() | st.binary(max_size=120), value=st.binary(max_size=300))
def test_no_bytes_bring_the_parser_down(key, value):
    with pytest.raises(TerminalError) as error:
        parse_event(key, value)
    assert error.value.reason.isidentifier()


edges = st.sampled_from(
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T24:00:00Z", "0000-01-01T00:00:00Z"]
)
times = st.datetimes(timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))).map(str)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | edges | times,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(fields=st.dictionaries(st.sampled_from([*GOOD, "extra"]), values))
@example(fields={"occurred_at": "0001-01-01T00:00:00+14:00"})
@example(fields={"occurred_at": "9999-12-31T23:59:59-14:00"})
def test_no_json_object_brings_the_parser_down(fields):
    with suppress(TerminalError):
        parse_event(b"u1", json.dumps({**GOOD, **fields}).encode())


@given(occurred_at=times | edges)
def test_no_time_brings_the_parser_down(occurred_at):
    with suppress(TerminalError):
        event = parse_event(b"u1", record(occurred_at=occurred_at))
        assert from_micros(micros(event.occurred_at)) == event.occurred_at


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (None, record(), "no_key"),
        (b"\xff", record(), "bad_id"),
        (b"a b", None, "bad_id"),
        (b"u1", b"", "bad_json"),
        (b"u1", b"[1]", "bad_event"),
        (b"u1", record(occurred_at="2020-01-01T00:00:00"), "naive_time"),
        (b"u1", record(value=float("nan")), "bad_event"),
        (b"u1", record(value=True), "bad_event"),
        (b"u1", record(value="5"), "bad_event"),
        (b"u1", record(value=10**400), "bad_event"),
        (b"u1", record(schema_version="1"), "bad_event"),
        (b"u1", record(occurred_at="0001-01-01T00:00:00+14:00"), "bad_event"),
        (b"u1", record(occurred_at="9999-12-31T23:59:59-14:00"), "bad_event"),
        (b"u1", b"[" * 100_000, "bad_json"),
        (b"u1", record(item_id="x{y}"), "bad_event"),
        (b"u1", record(item_id="i" * 101), "bad_event"),
        (b"u1", record(action="buy"), "bad_event"),
        (b"u1", record(schema_version=2), "bad_event"),
        (b"u1", record(e_mail="a@b.c"), "bad_event"),
        (b"u1", record(event_id="absent"), "bad_event"),
        (b"u2", record(), "key_mismatch"),
    ],
)
def test_a_bad_record_says_what_is_wrong(key, value, reason):
    with pytest.raises(TerminalError) as error:
        parse_event(key, value)
    assert error.value.reason == reason


def test_a_message_names_the_field_and_not_the_users_data():
    with pytest.raises(TerminalError, match="occurred_at") as error:
        parse_event(b"u1", record(occurred_at="secret-value"))
    assert "secret-value" not in error.value.message


def test_a_null_value_asks_to_forget():
    assert parse_event(b"u1", None) == ForgetUser("u1")


def test_times_are_kept_in_utc_to_the_microsecond():
    event = parse_event(b"u1", record(occurred_at="2020-06-01T02:00:00.123456+02:00"))
    assert event.occurred_at == datetime(2020, 6, 1, 0, 0, 0, 123456, tzinfo=UTC)
