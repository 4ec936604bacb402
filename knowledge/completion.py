"""The wire: one chat completion as bytes from an OpenAI-compatible server, and failures as our error types.

Answers are read as bytes up to a limit and parsed leniently: compatible servers differ in all but these fields.
"""

import email.utils
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx2
import openai
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from knowledge.base import RekiError, TerminalError, TransientError
from knowledge.text import address, one_line, without_surrogates

# A wrong key, address or model is the operator's to mend, not the request's fault: waiting loses nothing, a dead
# letter for every changed user would.
# No redirect is followed: it may lead the prompt, and the key, anywhere.
_UNWELCOME = {401, 403, 407}  # their words may repeat a part of the key
_MISCONFIGURED = {402, 404, 405, 410, *_UNWELCOME, *range(300, 400)}
_TRANSIENT = {408, 409, 425, 429}
_LONGEST_WISH_S = 300.0
_MOST_TOKENS = 10**9  # more than any context holds


def _count(value: object) -> int:
    # The server's figures are worth no failure: the answer beside them is paid for.
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS else 0


def _object_or_none(value: object) -> object:
    return value if isinstance(value, dict) else None


Count = Annotated[int, BeforeValidator(_count)]


class _Details(BaseModel):
    cached_tokens: Count = 0


class Tokens(BaseModel):
    """The server's own count; what is none (negative, text, absurdly large) counts 0."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    prompt_tokens_details: Annotated[_Details | None, BeforeValidator(_object_or_none)] = None

    @property
    def cached(self) -> int:
        """Prompt tokens taken from the server's prefix cache; 0 where it does not tell."""
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else 0


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    finish_reason: str | None = None
    message: _Message


class Completion(BaseModel):
    """What is used of a chat completion."""

    model: str | None = None
    choices: list[_Choice] = Field(min_length=1)
    usage: Annotated[Tokens | None, BeforeValidator(_object_or_none)] = None

    @property
    def tokens(self) -> Tokens:
        """The server's count, zeros where it does not tell."""
        return self.usage or Tokens()


async def fetch(client: openai.AsyncOpenAI, body: dict[str, Any], max_bytes: int, timeout_s: float) -> Completion:
    """One request, no retries.

    Raises:
        TransientError: `llm_timeout`, `llm_unreachable`, `llm_busy` (429), `llm_unavailable` (5xx),
            `llm_misconfigured` (a redirect, 401, 402, 403, 404, 405, 407, 410), `llm_bad_response` (an answer that is
            no chat completion).
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
        raise translate(error, str(client.base_url), client.api_key) from error
    try:
        return Completion.model_validate(without_surrogates(json.loads(bytes(read))))
    except (ValueError, RecursionError) as error:  # no JSON, or no chat completion
        told = f"something else than a chat completion: {_short(error, client.api_key)}"
        raise TransientError("llm_bad_response", f"{server(str(client.base_url))} answered with {told}") from None


def server(url: str) -> str:
    """The server in words."""
    return f"the LLM server {address(url)}"


def translate(error: Exception, url: str, key: str = "") -> RekiError:
    """The library's error as ours; messages name the server, and never the key."""
    name = server(url)
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, name, key)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return TransientError("llm_timeout", f"{name} did not answer in time")
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
        return TransientError("llm_unreachable", f"no answer from {name}: {_short(error.__cause__ or error, key)}")
    return TransientError("llm_bad_response", f"the answer of {name} cannot be read: {_short(error, key)}")


def _by_status(error: openai.APIStatusError, name: str, key: str) -> RekiError:
    status = error.status_code
    told = f"{name} says {status}"
    if status in _UNWELCOME:
        return TransientError("llm_misconfigured", f"{told}: check llm_api_key (REKI_LLM_API_KEY)")
    told += f": {_short(error, key)}"
    if status in _MISCONFIGURED:
        return TransientError("llm_misconfigured", f"{told}: check llm_base_url, llm_model and llm_api_key")
    if status == 429:
        return TransientError("llm_busy", told, retry_after(error.response.headers.get("retry-after")))
    if status in _TRANSIENT or status >= 500:
        return TransientError("llm_unavailable", told, retry_after(error.response.headers.get("retry-after")))
    return TerminalError("llm_rejected", told)


def retry_after(header: str | None) -> float | None:
    """Seconds of a Retry-After header (a number or an HTTP date); None where there is none or it is nonsense.

    Five minutes at most: a server that says "in a year" is asked again before.
    """
    if header is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", header.strip()):
        return min(_LONGEST_WISH_S, float(header))
    try:
        at = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    wished = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(_LONGEST_WISH_S, max(0.0, wished))


def _short(error: BaseException, key: str) -> str:
    # The other side's words end up in logs and dead letters: one line, not a page, never the prompt or the key.
    text = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if len(key) > 4:
        text = text.replace(key, "(key)")
    if len(key) >= 12:  # some servers repeat the key with its middle masked
        text = re.sub(rf"{re.escape(key[:6])}\S*", "(key)", text)
    return one_line(text, 200) or type(error).__name__
