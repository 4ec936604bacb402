"""The wire: one chat completion as bytes from an OpenAI-compatible server, and failures as our error types.

Answers are read as bytes up to a limit and parsed leniently: compatible servers differ in all but these fields.
"""

import email.utils
import re
from datetime import UTC, datetime
from typing import Any

import httpx2
import openai
from pydantic import BaseModel, Field, ValidationError

from knowledge.base import RekiError, TerminalError, TransientError

# A wrong key, address or model is the operator's to mend, not the request's fault: waiting loses nothing, a dead
# letter for every changed user would.
_MISCONFIGURED = {401, 403, 404}
_TRANSIENT = {408, 409, 425, 429}


class _Details(BaseModel):
    cached_tokens: int | None = None


class Tokens(BaseModel):
    """The server's own count."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None

    @property
    def cached(self) -> int:
        """Prompt tokens taken from the server's prefix cache; 0 where it does not tell."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    finish_reason: str | None = None
    message: _Message


class Completion(BaseModel):
    """What is used of a chat completion."""

    model: str = ""
    choices: list[_Choice] = Field(min_length=1)
    usage: Tokens | None = None

    @property
    def tokens(self) -> Tokens:
        """The server's count, zeros where it does not tell."""
        return self.usage or Tokens()


async def fetch(client: openai.AsyncOpenAI, body: dict[str, Any], max_bytes: int, timeout_s: float) -> Completion:
    """One request, no retries.

    Raises:
        TransientError: `llm_timeout`, `llm_unreachable`, `llm_busy` (429), `llm_unavailable` (5xx),
            `llm_misconfigured` (401, 403, 404), `llm_bad_response` (an answer that is no chat completion).
        TerminalError: `llm_rejected` (other 4xx: most often a prompt that is too long), `answer_too_long`.
    """
    try:
        async with client.chat.completions.with_streaming_response.create(**body, timeout=timeout_s) as response:
            read = bytearray()
            async for chunk in response.iter_bytes():
                read += chunk
                if len(read) > max_bytes:
                    raise TerminalError("answer_too_long", f"the LLM's answer is longer than {max_bytes} bytes")
    except (openai.OpenAIError, httpx2.HTTPError) as error:
        raise translate(error) from error
    try:
        return Completion.model_validate_json(bytes(read))
    except ValidationError as error:
        raise TransientError(
            "llm_bad_response", f"the LLM server answered with something else than a chat completion: {_short(error)}"
        ) from None


def translate(error: Exception) -> RekiError:
    """The library's error as ours."""
    if isinstance(error, openai.APIStatusError):
        return _by_status(error)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return TransientError("llm_timeout", "the LLM server did not answer in time")
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
        cause = error.__cause__ or error
        return TransientError("llm_unreachable", f"no answer from the LLM server: {_short(cause)}")
    return TransientError("llm_bad_response", f"the LLM server's answer cannot be read: {_short(error)}")


def _by_status(error: openai.APIStatusError) -> RekiError:
    status = error.status_code
    told = f"the LLM server says {status}: {_short(error)}"
    if status in _MISCONFIGURED:
        return TransientError("llm_misconfigured", f"{told}: check llm_base_url, llm_model and llm_api_key")
    if status == 429:
        return TransientError("llm_busy", told, retry_after(error.response.headers.get("retry-after")))
    if status in _TRANSIENT or status >= 500:
        return TransientError("llm_unavailable", told, retry_after(error.response.headers.get("retry-after")))
    return TerminalError("llm_rejected", told)


def retry_after(header: str | None) -> float | None:
    """Seconds of a Retry-After header (a number or an HTTP date); None where there is none or it is nonsense."""
    if header is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", header.strip()):
        return float(header)
    try:
        at = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _short(error: BaseException) -> str:
    # The other side's words end up in logs and dead letters: one line, not a page, never the prompt.
    return " ".join(str(error).split())[:200] or type(error).__name__
