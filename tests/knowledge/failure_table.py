"""How an LLM server can fail, and what must come of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """`reply` as `knowledge_parts.LlmServer` plans it; counts are for one retry and `deadline_s`."""

    name: str
    reply: object
    transient: bool
    reason: str
    calls: int = 1
    retries: int = 0
    repair_calls: int = 0
    retry_after_s: float | None = None
    finish_reason: str = "stop"

    @property
    def deadline_s(self):
        """Short where the deadline is what ends it; else long enough for a busy machine's first connection."""
        return 1.0 if self.reply == "hang" else 20.0


FAILURES = (
    Failure("server down", "", True, "llm_unreachable", calls=2, retries=1),
    Failure("connection dropped", "drop", True, "llm_unreachable", calls=2, retries=1),
    Failure("half an answer", "half", True, "llm_unreachable", calls=2, retries=1),
    Failure("429 with Retry-After", (429, {"retry-after": "60"}, b"{}"), True, "llm_busy", retry_after_s=60),
    Failure("500", (500, {}, b"{}"), True, "llm_unavailable", calls=2, retries=1),
    Failure("proxy page", (200, {}, b"<html>"), True, "llm_bad_response", calls=2, retries=1),
    Failure("wrong key", (401, {}, b"{}"), True, "llm_misconfigured"),
    Failure("timeout", "hang", True, "llm_timeout"),
    Failure("prompt too long", (400, {}, b"{}"), False, "llm_rejected"),
    Failure("truncated JSON", '{"factors": {"genre": "Lov', False, "bad_answer", calls=2, repair_calls=1),
    Failure("cut off", '{"factors": {', False, "answer_cut", finish_reason="length"),
    Failure("wrong schema", '{"factors": [], "likes": "8"}', False, "bad_answer", calls=2, repair_calls=1),
    Failure("empty answer", "", False, "empty_answer", calls=2, repair_calls=1),
    Failure("1 MB answer", "x" * 1_000_000, False, "answer_too_long"),
    Failure("refusal", "{}", False, "answer_refused", finish_reason="content_filter"),
)


async def break_it(server, failure):
    """Make `server` fail so."""
    if failure.name == "server down":
        await server.stop()
    server.plan, server.finish_reason = [failure.reply], failure.finish_reason
