"""The dry run: every prompt is built, none is sent. What is answered already, and what the rest would cost."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowledge.answer_key import answer_key
from knowledge.answers import Answer
from knowledge.base import TerminalError
from knowledge.meter import Meter
from knowledge.prompts import Prompt
from knowledge.requests import KnowledgeSource
from knowledge.settings import KnowledgeSettings
from reki.knowledge.measured import BYTES_PER_TOKEN, measured
from reki.knowledge.measured import duration as duration
from reki.knowledge.subjects import Subject, UserSubject

if TYPE_CHECKING:
    from knowledge.collective import ClusterRequest, CollectiveSource

_PLANNED = "planned"


@dataclass(frozen=True)
class Prices:
    """Money for a million tokens; `cached` None = as dear as others."""

    tokens_in: float = 0.0
    tokens_out: float = 0.0
    cached: float | None = None


@dataclass
class Plan:
    """What a run would do. Bytes are of the prompts that would be sent, `shared_bytes` those of their first message."""

    calls: int = 0
    answered: int = 0  # in the answer cache
    recorded: int = 0
    impossible: dict[str, int] = field(default_factory=dict)  # reason -> how many
    bytes_in: int = 0
    shared_bytes: int = 0
    tokens_out_at_most: int = 0

    def refused(self, error: TerminalError) -> None:
        """Count what will fail; what was only counted raises, too."""
        if error.reason != _PLANNED:
            self.impossible[error.reason] = self.impossible.get(error.reason, 0) + 1


class CountingClient:
    """An `Llm` that counts and never answers. Without the real client, whose library takes its time to load."""

    def __init__(self, settings: KnowledgeSettings, plan: Plan) -> None:
        self._settings = settings
        self._plan = plan
        self._keys: set[str] = set()
        self._shared: set[str] = set()
        self.meter = Meter()

    async def complete(self, prompt: Prompt, purpose: str) -> Answer:
        """Count the prompt; raises `TerminalError` (`planned`) always."""
        key = self.cache_key(prompt)
        if key in self._keys:  # two entities with one prompt: the second finds the answer
            self._plan.answered += 1
            raise TerminalError(_PLANNED, "counted")
        self._keys.add(key)
        first = str(prompt.messages[0]["content"])
        self._plan.calls += 1
        self._plan.bytes_in += sum(len(str(message["content"]).encode()) for message in prompt.messages)
        if first in self._shared:
            self._plan.shared_bytes += len(first.encode())
        self._shared.add(first)
        self._plan.tokens_out_at_most += longest(prompt.schema)
        raise TerminalError(_PLANNED, "counted")

    def cache_key(self, prompt: Prompt) -> str:
        """As the real client names it."""
        return answer_key(self._settings, prompt)

    async def close(self) -> None:
        """Nothing to give back."""


async def make_plan(subjects: Iterable[Subject], source: KnowledgeSource, plan: Plan) -> None:
    """Fill `plan`; `source` was opened with a `CountingClient` of the same plan."""
    for subject in subjects:
        try:
            if isinstance(subject, UserSubject):
                found = await source.user(subject.request)
            else:
                found = await source.item(subject.profile)
            plan.answered += found.prompt_hash is not None
            plan.recorded += found.prompt_hash is None
        except TerminalError as error:
            plan.refused(error)
        await asyncio.sleep(0)
    await source.close()


async def make_cluster_plan(requests: "Iterable[ClusterRequest]", source: "CollectiveSource", plan: Plan) -> None:
    """The same for questions about clusters."""
    for request in requests:
        try:
            await source.cluster(request)
            plan.answered += 1
        except TerminalError as error:
            plan.refused(error)
    await source.close()


def longest(schema: Any) -> int:  # noqa: ANN401 - JSON
    """Tokens of the longest answer that fills `schema`, at four characters a token."""
    if not isinstance(schema, dict):
        return 0
    if "enum" in schema:
        return 2 + max((len(str(value)) for value in schema["enum"]), default=0) // 4
    kind = schema.get("type")
    if kind == "object":
        return 1 + sum(2 + len(name) // 4 + longest(part) for name, part in schema.get("properties", {}).items())
    if kind == "array":
        return 1 + int(schema.get("maxItems") or schema.get("minItems") or 1) * (1 + longest(schema.get("items")))
    return 2 + int(schema.get("maxLength", 8)) // 4


def report(
    plan: Plan, settings: KnowledgeSettings, purpose: str, prices: Prices, folder: Path
) -> list[tuple[str, str]]:
    """The plan as lines (what, how much), with where each figure comes from."""
    run = measured(folder, settings.model_name, purpose)
    by_token = run.prompt_bytes / run.tokens_in if run else BYTES_PER_TOKEN
    tokens_in = round(plan.bytes_in / by_token)
    shared = round(plan.shared_bytes / by_token)
    out_each = run.tokens_out / run.calls if run else None
    tokens_out = round(out_each * plan.calls) if out_each is not None else plan.tokens_out_at_most
    basis = f"measured over {run.calls} calls" if run else f"{BYTES_PER_TOKEN:g} bytes a token, nothing measured yet"
    lines = [
        ("calls", f"{plan.calls:,}"),
        ("answered already (no call)", f"{plan.answered:,}"),
        *([("recorded (no call)", f"{plan.recorded:,}")] if plan.recorded else []),
        ("tokens in", f"{tokens_in:,} ({basis})"),
        ("  of these shared by all", f"{shared:,}: paid once by a server with a prefix cache"),
        ("tokens out", f"{tokens_out:,} ({'measured' if run else 'at most'})"),
    ]
    lines += [(f"not possible: {reason}", f"{count:,}") for reason, count in sorted(plan.impossible.items())]
    if run and run.seconds and run.tokens_out:
        seconds = tokens_out * run.seconds / run.tokens_out
        lines.append(("time", f"{duration(seconds)} at {run.tokens_out / run.seconds:.1f} tokens/s out, as measured"))
    else:
        lines.append(("time", f"unknown: no run with {settings.model_name} was measured here yet"))
    if not (prices.tokens_in or prices.tokens_out or prices.cached):
        return lines
    if not plan.calls:
        return [*lines, ("money", "0: there is nothing to ask")]
    full = (tokens_in * prices.tokens_in + tokens_out * prices.tokens_out) / 1e6
    most = "" if run else "; at most, nothing measured yet"
    terms = f"{tokens_in:,} in at {prices.tokens_in:g} + {tokens_out:,} out at {prices.tokens_out:g}"
    lines.append(("money", f"{amount(full)} ({terms} a million{most})"))
    if prices.cached is not None:
        saved = shared * (prices.tokens_in - prices.cached) / 1e6
        lines.append(("  with a prefix cache", f"{amount(full - saved)} (the shared part at {prices.cached:g})"))
    return lines


def amount(money: float) -> str:
    """Money for people: cents where there are some, else two digits that say something."""
    return f"{money:,.2f}" if money >= 0.1 else f"{money:.2g}"
