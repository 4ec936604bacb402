"""Factors of a new domain: sample items in, a scenario file for the expert to edit out.

The LLM proposes noun and factors. Everything else in the file (scale, actions, words) starts as it is for films, and
no profile field is told until the expert lists it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from knowledge.answers import Answer
from knowledge.base import TerminalError
from knowledge.base.files import fault, refuse_existing
from knowledge.prompts import Limits, Prompt, SampleItem, discovery_prompt
from knowledge.prompts.discover import LINE_CHARS, MOST_FACTORS, NOUN_CHARS
from knowledge.proposal import Factor, render
from knowledge.scenario import Scenario, parse_scenario, scenario_names
from knowledge.text import clean

PURPOSE = "discover"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# An expert may still write such a factor by hand, having thought about it; no LLM proposes it.
_SENSITIVE = re.compile(
    r"health|illness|disease|religio|faith|politic|ethnic|race|racial|national_origin|sexual|gender"
)


class Asker(Protocol):
    """What is needed of `client.LlmClient`."""

    async def complete(self, prompt: Prompt, purpose: str) -> Answer:
        """Ask."""
        ...


@dataclass(frozen=True)
class Proposal:
    """`toml` is a valid scenario file with comments, `scenario` the same, read. `repairs` counts what was dropped."""

    toml: str
    scenario: Scenario
    repairs: Counter[str]
    answer: Answer


async def discover(llm: Asker, name: str, samples: Sequence[SampleItem], limits: Limits | None = None) -> Proposal:
    """Ask once for the factors of domain `name`.

    Raises `TerminalError`: `bad_scenario` for a name that cannot be one, `bad_sample` for no samples, `empty_answer` if
    fewer than two factors are usable; and what the LLM client raises.
    """
    check_name(name)
    if not samples:
        raise TerminalError("bad_sample", "factors are found from sample items: give at least one")
    answer = await llm.complete(discovery_prompt(name, samples, limits), PURPOSE)
    factors, repairs = _read(answer.data)
    if len(factors) < 2:
        raise TerminalError("empty_answer", "the LLM proposed fewer than two usable factors: try a larger model")
    nouns = [_word(answer.data[part], name, repairs) for part in ("noun", "plural")]
    toml = render(name, nouns[0], nouns[1], factors, item_fields(samples), answer.model)
    return Proposal(toml, parse_scenario(toml, f"proposal {name}"), repairs, answer)


def check_name(name: str) -> None:
    """Whether a new scenario may be called `name`; raises `TerminalError` (`bad_scenario`)."""
    if _NAME.fullmatch(name) is None:
        raise TerminalError(
            "bad_scenario", f"{name[:40]!r} is no name of a scenario: up to 40 of a-z, 0-9 and _, a letter first"
        )
    if name in scenario_names():
        raise TerminalError("bad_scenario", f"scenario {name} is built in: choose another name")


def write_proposal(proposal: Proposal, path: Path) -> None:
    """Write the file for the expert; an edited one is never lost.

    Raises `TerminalError` (`exists`, `bad_file`, `unwritable`).
    """
    refuse_existing(path)
    made = False
    try:
        with path.open("x", encoding="utf-8") as file:
            made = True
            file.write(proposal.toml)
    except FileExistsError:
        raise TerminalError("exists", f"{path} exists already and is left as it is: name another file") from None
    except OSError as error:
        if made:  # a full disk: half a file would be refused as one that exists
            path.unlink(missing_ok=True)
        raise TerminalError("unwritable", f"{path} cannot be written: {fault(error)}") from None


def item_fields(samples: Sequence[SampleItem]) -> list[str]:
    """Fields that may serve as evidence: a plain name, in at least half of the samples, short, and not a link."""
    good: Counter[str] = Counter()
    for sample in samples:
        for name, value in sample.fields.items():
            told = clean(value, 80)
            good[name] += bool(told) and len(told) <= 60 and "(link)" not in told and "(e-mail)" not in told
    usual = [name for name, count in good.items() if 2 * count >= len(samples) and _NAME.fullmatch(name)]
    return usual[:8]


def _word(proposed: object, name: str, repairs: Counter[str]) -> str:
    """The word for an item: one to four words, shorter than the schema allows, else the domain's name, counted.

    What fills the schema's length was most likely cut there. It stands inside sentences: no capital, but in "TV show".
    """
    word = clean(str(proposed), 2 * NOUN_CHARS).strip(" .,:;!?\"'")
    if not word or len(word) >= NOUN_CHARS or len(word.split()) > 4:
        repairs["noun_replaced"] += 1
        return name.replace("_", " ")
    return word[0].lower() + word[1:] if word.split()[0][1:].islower() else word


def _read(data: dict[str, Any]) -> tuple[list[Factor], Counter[str]]:
    """The usable factors, in the LLM's order. Dropped and counted: blank, doubly named, sensitive, surplus ones."""
    repairs: Counter[str] = Counter()
    factors: dict[str, Factor] = {}
    for raw in data["factors"]:
        if not isinstance(raw, dict):
            repairs["blank_factor"] += 1
            continue
        parts = {part: clean(str(raw.get(part) or ""), LINE_CHARS) for part in ("name", "user", "item", "why")}
        name = re.sub(r"[^a-z0-9]+", "_", parts["name"].lower()).lstrip("_0123456789")[:40].strip("_")
        if not name or not parts["user"] or not parts["item"]:
            repairs["blank_factor"] += 1
        elif _SENSITIVE.search(name):
            repairs["sensitive"] += 1
        elif name in factors:
            repairs["doubly_named"] += 1
        elif len(factors) == MOST_FACTORS:
            repairs["surplus"] += 1
        else:
            factors[name] = Factor(name, parts["user"], parts["item"], parts["why"])
    return list(factors.values()), repairs
