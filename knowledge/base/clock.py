"""The one clock: timezone-aware UTC, and microseconds where a number is stored."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from knowledge.base.errors import TerminalError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Where the time comes from; tests and replays pass their own."""

    def now(self) -> datetime:
        """The present, timezone-aware UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present, timezone-aware UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands where it is put; for tests and replays."""

    def __init__(self, at: datetime) -> None:
        self.at = require_aware(at)

    def now(self) -> datetime:
        """The time that was set last."""
        return self.at


def require_aware(value: datetime) -> datetime:
    """Return `value` in UTC; a naive time is refused (Feast would read a local time as UTC, hours off).

    Raises `TerminalError`: `naive_time`; `bad_time` where UTC would be before the year 1 or after 9999.
    """
    if value.tzinfo is None or value.utcoffset() is None:
        raise TerminalError("naive_time", f"{value.isoformat()} has no time zone: give times with an offset, in UTC")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise _out_of_range() from error


def micros(value: datetime) -> int:
    """Microseconds since 1970 (UTC), exact."""
    return (require_aware(value) - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The inverse of `micros`; raises `TerminalError` (`bad_time`) outside the years 1 to 9999."""
    try:
        return _EPOCH + value * _MICROSECOND
    except OverflowError as error:
        raise _out_of_range() from error


def _out_of_range() -> TerminalError:
    return TerminalError("bad_time", "the time is outside the years 1 to 9999 in UTC: correct it")
