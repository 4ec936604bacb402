"""The one id type: what may name a user, an item or an event."""

import re
from typing import Annotated

from pydantic import AfterValidator

from knowledge.base.errors import TerminalError

# No braces and at most 100 bytes: an id becomes part of a Redis key whose braces choose the cluster slot,
# and its length byte must not be one of them either.
_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,100}")


def is_id(value: object) -> bool:
    """Whether `value` may be an id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def check_id(value: str) -> str:
    """Return `value`, or raise `TerminalError` (reason `bad_id`) that says what an id may be."""
    if not is_id(value):
        raise TerminalError(
            "bad_id",
            f"{str(value)[:120]!r} is not an id: use 1 to 100 characters from A-Z a-z 0-9 _ . : @ -",
        )
    return value


def _validate(value: str) -> str:
    if not is_id(value):
        raise ValueError("an id is 1 to 100 characters from A-Z a-z 0-9 _ . : @ -")
    return value


EntityId = Annotated[str, AfterValidator(_validate)]
