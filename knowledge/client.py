"""The LLM client: any OpenAI-compatible server, bounded in calls, waiting, time, size and stubbornness."""

import asyncio
import json
import random
from typing import Any
from urllib.parse import urlsplit

import openai

from knowledge.answer_key import answer_key
from knowledge.answers import Answer
from knowledge.base import Clock, RekiError, SystemClock, TerminalError, TransientError
from knowledge.breaker import CircuitBreaker
from knowledge.completion import Completion, fetch, server
from knowledge.limit import Limiter
from knowledge.meter import Meter, Usage
from knowledge.prompts import Message, Prompt
from knowledge.schema import is_strict, violations
from knowledge.settings import KnowledgeSettings
from knowledge.text import without_surrogates

_LONGEST_PAUSE_S = 30.0
# Trying again at once is pointless: the deadline is over, or only a person can mend it.
_NOT_RETRIED = {"llm_timeout", "llm_misconfigured"}
_EXCERPT = 500  # characters of an unusable answer that are shown to the LLM again: a short context must hold all


class LlmClient:
    """Asks and validates. For one event loop; `close` it there."""

    def __init__(self, settings: KnowledgeSettings, clock: Clock | None = None, meter: Meter | None = None) -> None:
        if not settings.llm_base_url:
            raise TerminalError("no_llm", "llm_base_url is empty: set it to the server's address, ending in /v1")
        self.meter = meter or Meter()
        self.breaker = CircuitBreaker(
            clock or SystemClock(), settings.llm_breaker_failures, settings.llm_breaker_open_s
        )
        self.trouble: TransientError | None = None  # the last call's, until one is answered
        self._settings = settings
        self._limiter = Limiter(settings.llm_concurrency, settings.llm_queue)
        # One time budget and one retry rule, ours: the library's own would multiply them. A proxy from the
        # environment must not get loopback calls.
        loopback = urlsplit(settings.llm_base_url).hostname in {"127.0.0.1", "::1", "localhost"}
        self._openai = openai.AsyncOpenAI(
            base_url=settings.llm_base_url,
            api_key=settings.llm_api_key.get_secret_value() or "none",
            organization="",
            project="",
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=not loopback, follow_redirects=False),
        )
        # "" above kept the library from reading the environment; None keeps it from sending empty headers.
        self._openai.organization = self._openai.project = None

    async def complete(self, prompt: Prompt, purpose: str) -> Answer:
        """Ask `prompt` and return an answer that fills its schema (see `schema.violations` for how strictly).

        An answer that does not is shown to the LLM once more with what is wrong. `purpose` names the meter's counters.

        Raises:
            TransientError: the server cannot be reached, is busy, or does not answer in time; or the circuit is open
                or the queue is full. `retry_after_s` is set where the server said so.
            TerminalError: `answer_cut` (finish_reason=length), `answer_refused`, `bad_answer` and `empty_answer`
                (after the repair attempt), `answer_too_long`, `llm_rejected`.
        """
        until = asyncio.get_running_loop().time() + self._settings.llm_deadline_s
        usage = self.meter.of(purpose)
        try:
            async with self._limiter.turn(until):
                return await self._answer(prompt, usage, until)
        except RekiError as error:
            usage.failures[error.reason] += 1
            raise

    def cache_key(self, prompt: Prompt) -> str:
        """What the answer depends on, see `answer_key`."""
        return answer_key(self._settings, prompt)

    async def close(self) -> None:
        """Close the connections."""
        await self._openai.close()

    async def _answer(self, prompt: Prompt, usage: Usage, until: float) -> Answer:
        first = await self._call(prompt.messages, prompt, usage, until)
        spent = [first]
        data, problem = _read(first, prompt)
        if problem is not None:
            usage.repair_calls += 1
            text = first.choices[0].message.content or ""
            again: tuple[Message, ...] = (
                *prompt.messages,
                {"role": "assistant", "content": text[:_EXCERPT] or "{}"},
                {
                    "role": "user",
                    "content": f"That cannot be used: {problem}. Answer again, with the JSON object alone.",
                },
            )
            spent.append(await self._call(again, prompt, usage, until))
            data, problem = _read(spent[-1], prompt)
        if data is None:
            reason = "bad_answer" if spent[-1].choices[0].message.content else "empty_answer"
            raise TerminalError(reason, f"the LLM's answer cannot be used, asked twice: {problem}")
        usage.answers += 1
        return Answer(
            data=data,
            tokens_in=sum(call.tokens.prompt_tokens for call in spent),
            tokens_cached=sum(call.tokens.cached for call in spent),
            tokens_out=sum(call.tokens.completion_tokens for call in spent),
            model=spent[-1].model or self._settings.model_name,
        )

    async def _call(self, messages: tuple[Message, ...], prompt: Prompt, usage: Usage, until: float) -> Completion:
        loop = asyncio.get_running_loop()
        for attempt in range(self._settings.llm_retries + 1):
            with self.breaker.attempt():
                try:
                    return await self._once(messages, prompt, usage, until)
                except TransientError as error:
                    failure = error
            pause = self._pause(attempt, failure)
            last = attempt == self._settings.llm_retries or failure.reason in _NOT_RETRIED
            if last or loop.time() + pause >= until:
                break
            usage.retries += 1
            await asyncio.sleep(pause)
        raise failure

    async def _once(self, messages: tuple[Message, ...], prompt: Prompt, usage: Usage, until: float) -> Completion:
        body = {
            "model": self._settings.model_name,
            "messages": messages,
            "temperature": self._settings.llm_temperature,
            "max_tokens": self._settings.llm_max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": is_strict(prompt.schema), "schema": prompt.schema},
            },
        }
        left = until - asyncio.get_running_loop().time()
        usage.calls += 1
        try:
            # The library's timeout is between two bytes: a server that trickles would never meet it.
            async with asyncio.timeout_at(until):
                completion = await fetch(self._openai, body, self._settings.llm_max_body_bytes, max(left, 0.001))
        except TimeoutError:
            self.breaker.failed("llm_timeout")
            within = f"within {self._settings.llm_deadline_s:g} s"
            self.trouble = TransientError(
                "llm_timeout", f"no answer from {server(self._settings.llm_base_url)} {within}"
            )
            raise self.trouble from None
        except TransientError as error:
            self.trouble = error
            if error.reason != "llm_busy":  # a busy server is alive, and says when to come back
                self.breaker.failed(error.reason)
            raise
        except TerminalError:
            self.breaker.succeeded()
            self.trouble = None
            raise
        self.breaker.succeeded()
        self.trouble = None
        tokens = completion.tokens
        usage.tokens_in += tokens.prompt_tokens
        usage.tokens_cached += tokens.cached
        usage.tokens_out += tokens.completion_tokens
        return completion

    def _pause(self, attempt: int, failure: TransientError) -> float:
        if failure.retry_after_s is not None:
            return failure.retry_after_s
        longest = min(_LONGEST_PAUSE_S, self._settings.llm_backoff_s * 2.0**attempt)
        # Jitter, not a secret: clients that failed together must not come back together.
        return float(longest) * random.uniform(0.5, 1.0)  # noqa: S311


def _read(completion: Completion, prompt: Prompt) -> tuple[dict[str, Any] | None, str | None]:
    """(data, None) or (None, what is wrong); raises `TerminalError` for what asking again would not mend."""
    choice = completion.choices[0]
    if choice.finish_reason == "length":
        raise TerminalError(
            "answer_cut",
            f"the answer was cut off after {completion.tokens.completion_tokens} tokens: raise llm_max_tokens or the "
            "server's context per slot, or lower llm_shortlist",
        )
    if choice.message.refusal or choice.finish_reason == "content_filter":
        raise TerminalError("answer_refused", "the LLM refused to answer")
    if not choice.message.content:
        return None, "it was empty"
    try:
        data = without_surrogates(json.loads(choice.message.content))
    except (ValueError, RecursionError):
        return None, "it was not JSON"
    found = violations(data, prompt.schema)
    return (None, "; ".join(found[:3])) if found else (data, None)
