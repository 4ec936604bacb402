"""Runs every attempt against a server, twice: a naive prompt with an unchecked answer, then ours."""

from collections import Counter
from dataclasses import dataclass

from injection_parts import ATTEMPTS, CATALOGUE, SCENARIO, Attempt, benign, cleaned, raw, reached, subject

from knowledge.base import RekiError
from knowledge.cache import AnswerCache
from knowledge.client import LlmClient
from knowledge.live import LiveSource
from knowledge.settings import KnowledgeSettings


@dataclass(frozen=True)
class Outcome:
    """What one attempt reached without and with our cleaning and checks; `obeyed`: whether the server still saw it."""

    attempt: Attempt
    before: bool
    after: bool
    obeyed: bool
    likes: tuple[str, ...]


async def run(server, folder, attempts=ATTEMPTS):
    """Outcomes of all `attempts`, in order."""
    client = _client(server)
    outcomes = []
    for attempt in attempts:
        server.attempt, server.plain = attempt, benign(attempt)
        system = cleaned(attempt).messages[0]["content"]
        before = reached(attempt, *await naive(client, raw(attempt)), system) or (
            attempt.goal == "deny" and server.obeyed
        )
        made, titles = subject(attempt, attempt.text)
        source = LiveSource(client, SCENARIO, CATALOGUE, titles, AnswerCache(folder / attempt.id))
        factors, likes = {}, ()
        try:
            extraction = await (source.item(made) if attempt.on_item else source.user(made))
        except RekiError:
            refused = True
        else:
            refused = False
            factors = extraction.knowledge.factors
            expectations = extraction.knowledge.expectations
            likes = expectations.likes if expectations else ()
        # No answer at all is a success, too, though a small one: the previous knowledge keeps serving.
        after = reached(attempt, factors, likes, system) or (attempt.goal == "deny" and refused)
        outcomes.append(Outcome(attempt, before, after, server.obeyed, tuple(likes)))
    await client.close()
    return outcomes


def _client(server):
    return LlmClient(
        KnowledgeSettings(
            llm="openai", llm_base_url=server.base_url, llm_model="m", llm_retries=0, llm_breaker_failures=1000
        )
    )


async def control(server, attempts):
    """How many goals are reached by harmless words in the attempts' places: what a model does unasked."""
    client = _client(server)
    hits = 0
    for attempt in attempts:
        prompt = benign(attempt)
        hits += reached(attempt, *await naive(client, prompt), prompt.messages[0]["content"])
    await client.close()
    return hits


async def naive(client, prompt):
    """Factors and likes of an answer that nobody checks."""
    try:
        data = (await client.complete(prompt, "naive")).data
    except RekiError:
        return {}, []
    return data["factors"], data.get("likes", [])


def rates(outcomes):
    """Goal -> (attempts, successes before, successes after), and the sum as `all`."""
    table = {}
    for name in [*sorted({one.attempt.goal for one in outcomes}), "all"]:
        own = [one for one in outcomes if name in ("all", one.attempt.goal)]
        table[name] = (len(own), sum(one.before for one in own), sum(one.after for one in own))
    return table


def kinds(outcomes):
    """How many attempts there are of each kind."""
    return Counter(one.attempt.kind for one in outcomes)
