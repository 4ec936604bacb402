"""The message of topic `refresh-requests`: make new knowledge for this user, from their first `source_rev` events."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowledge.base import EntityId, TerminalError
from knowledge.base.records import UtcDatetime

SCHEMA_VERSION = 1
_MAX_BYTES = 4_096


class RefreshRequest(BaseModel):
    """One request; JSON, key = `user_id`.

    `source_rev` fixes what the prompt may contain, so that a retry after a crash builds the same prompt and finds the
    answer in the cache (window R1). `epoch` is the user's life that was read: a request of a forgotten life is void.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # a later version may add fields; this one still reads it

    user_id: EntityId
    source_rev: int = Field(ge=1, description="How many of the user's events the knowledge shall have seen.")
    epoch: int = Field(ge=0, description="Raised by forgetting; a request of an earlier life is dropped.")
    requested_at: UtcDatetime
    reason: str = Field(max_length=500, description="Why the policy found the user changed; shown to people.")
    drift: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="How far taste has moved; None = not measured."
    )
    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)

    @property
    def order(self) -> tuple[int, int]:
        """What makes one request newer than another of the same user."""
        return self.epoch, self.source_rev


def encode_request(request: RefreshRequest) -> tuple[bytes, bytes]:
    """Key and value as they stand on the topic."""
    return request.user_id.encode(), request.model_dump_json().encode()


def parse_request(key: bytes | None, value: bytes | None) -> RefreshRequest | None:
    """Read a record; None for a tombstone (compaction may leave one).

    Raises `TerminalError` (reason `bad_request`) for anything that is not a request of its own key.
    """
    if value is None:
        return None
    if len(value) > _MAX_BYTES:
        raise TerminalError("bad_request", f"the refresh request has {len(value)} bytes; at most {_MAX_BYTES} are read")
    try:
        request = RefreshRequest.model_validate_json(value)
    except Exception as error:  # anything at all: it would end the worker, again and again
        raise TerminalError("bad_request", f"not a refresh request: {first_problem(error)}") from error
    if key != request.user_id.encode():
        raise TerminalError("bad_request", "the key of a refresh request must be its user_id: order per user needs it")
    return request


def first_problem(error: Exception) -> str:
    """What is wrong with a record, without the record's own values."""
    if isinstance(error, TerminalError):
        return error.message
    if not isinstance(error, ValidationError):
        return type(error).__name__
    problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])
