"""`BehaviorEvent` on the wire: JSON value, `user_id` as key. A null value asks to forget the user."""

from dataclasses import dataclass

from pydantic import ValidationError

from knowledge.base import BehaviorEvent, TerminalError, check_id


@dataclass(frozen=True)
class ForgetUser:
    """A record with a null value: everything about this user goes."""

    user_id: str


def encode_key(user_id: str) -> bytes:
    """The record key; it must be the user id in UTF-8, because murmur2 over it chooses the partition."""
    return check_id(user_id).encode("ascii")


def encode_event(event: BehaviorEvent) -> bytes:
    """The record value: compact JSON by the schema of `BehaviorEvent`; an absent `value` is left out."""
    return event.model_dump_json(exclude_none=True).encode()


def parse_event(key: bytes | None, value: bytes | None) -> BehaviorEvent | ForgetUser:
    """Read one record of topic `behavior`.

    Raises `TerminalError`: `no_key`, `bad_id`, `bad_json`, `bad_event` (names the fields), `naive_time`,
    `key_mismatch`.
    """
    if key is None:
        raise TerminalError("no_key", "the record has no key: publish with key = user_id")
    user_id = check_id(key.decode("utf-8", "replace"))
    if value is None:
        return ForgetUser(user_id)
    try:
        event = BehaviorEvent.model_validate_json(value)
    except Exception as error:
        # Anything at all: what left this function otherwise would end the worker, which would read it again for ever.
        raise _terminal(error) from error
    if event.user_id != user_id:
        # Another key means another partition: two workers would race for one user's state.
        raise TerminalError(
            "key_mismatch", f"key {user_id!r} is not the event's user_id {event.user_id!r}: publish with key = user_id"
        )
    return event


def _terminal(error: Exception) -> TerminalError:
    if isinstance(error, TerminalError):  # a time that UTC cannot hold
        return TerminalError("bad_event", f"not a BehaviorEvent ({error.message}): see docs/events.md")
    if not isinstance(error, ValidationError):
        return TerminalError("bad_event", f"not a BehaviorEvent ({type(error).__name__}): see docs/events.md")
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    types = {problem["type"] for problem in problems}
    where = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'value'}: {p['msg']}" for p in problems[:5])
    if "json_invalid" in types:
        return TerminalError("bad_json", f"the value is not JSON ({where})")
    if "timezone_aware" in types:
        return TerminalError("naive_time", f"give occurred_at with an offset, in UTC ({where})")
    return TerminalError("bad_event", f"not a BehaviorEvent ({where}): see docs/events.md")
