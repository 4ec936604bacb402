"""Times at the ends of the calendar: exact, or a terminal error; never an OverflowError that ends a worker."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowledge.base import TerminalError, from_micros, micros, require_aware

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=st.just(UTC)))
@example(FIRST)
@example(LAST)
def test_microseconds_lose_nothing(at):
    assert from_micros(micros(at)) == at


@given(st.datetimes(timezones=offsets))
@example(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))))
@example(datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-14))))
def test_a_time_is_the_same_in_utc_or_refused(at):
    with suppress(TerminalError):
        assert require_aware(at) == at


@pytest.mark.parametrize("value", [micros(FIRST) - 1, micros(LAST) + 1, 10**30, -(10**30)])
def test_microseconds_outside_the_calendar_are_refused(value):
    with pytest.raises(TerminalError) as refused:
        from_micros(value)
    assert refused.value.reason == "bad_time"
