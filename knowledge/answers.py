"""From a checked answer to records: repairs what can be repaired without another call, and counts it."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from knowledge.base import Expectations, TerminalError
from knowledge.catalogue import Catalogue
from knowledge.echo import EchoCheck
from knowledge.prompts import Limits, expected_count
from knowledge.scenario import Scenario
from knowledge.sensitive import without_sensitive
from knowledge.text import clean

_NO_ECHO = EchoCheck()


@dataclass(frozen=True)
class Answer:
    """A valid answer. Tokens are what it cost, a repair call included; `cached`: not from the server this time."""

    data: dict[str, Any]
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    model: str
    cached: bool = False


@dataclass(frozen=True)
class ReadAnswer:
    """An answer as records. `repairs` counts what was dropped or cut, by reason."""

    factors: dict[str, str]
    expectations: Expectations | None
    repairs: Counter[str]


def read_factors(
    data: Mapping[str, Any],
    scenario: Scenario,
    limits: Limits,
    *,
    echo: EchoCheck = _NO_ECHO,
    on_person: bool = False,
    kept: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], Counter[str]]:
    """Factor texts, cleaned and capped, without sentences that repeat the prompt or, `on_person`, are sensitive.

    `kept`: earlier texts. A factor that the answer leaves out, or of which nothing is left, keeps its earlier text word
    for word. Raises `TerminalError` (`empty_answer`) if none has a word in it.
    """
    repairs: Counter[str] = Counter()
    factors: dict[str, str] = {}
    for name in scenario.factors:
        raw = data["factors"].get(name)
        if raw is not None or not (kept or {}).get(name):
            text = _text(raw, limits, echo, on_person, repairs)
            if any(character.isalnum() for character in text):
                factors[name] = text
                continue
            repairs["blank_factor"] += 1
        if kept and kept.get(name):
            factors[name] = kept[name]
    if not factors:
        raise TerminalError("empty_answer", "the LLM's answer has no text for any factor: try a larger model")
    return factors, +repairs


def _text(raw: object, limits: Limits, echo: EchoCheck, on_person: bool, repairs: Counter[str]) -> str:
    if not isinstance(raw, str):
        return ""
    # Answers are shown to people and enter later prompts: the same rules as for any untrusted text.
    text = clean(raw, limits.text_chars)
    repairs["cut_factor"] += len(" ".join(raw.split())) > limits.text_chars
    text, echoed = echo.without(text)
    repairs.update(echoed)
    if on_person:
        text, sensitive = without_sensitive(text)
        repairs["sensitive"] += sensitive.total()
    return text


def read_user(
    data: Mapping[str, Any],
    scenario: Scenario,
    catalogue: Catalogue,
    touched: Collection[str],
    limits: Limits,
    *,
    echo: EchoCheck = _NO_ECHO,
    kept: Mapping[str, str] | None = None,
    retrieved: Collection[str] = (),
) -> ReadAnswer:
    """A user's answer. Unknown, touched and doubly named items are dropped and counted, as are values off the scale.

    An item that is both like and dislike says nothing and is dropped from both. `touched` anchors are left out
    uncounted: every anchor is asked for, and the user's own value takes the place of the guess. `retrieved` items may
    be named in this answer beside the shortlist. `echo` and `kept` as in `read_factors`.
    """
    factors, repairs = read_factors(data, scenario, limits, echo=echo, on_person=True, kept=kept)
    allowed = {*catalogue.shortlist, *retrieved}
    likes, dislikes = (_ids(data[part], allowed, touched, repairs) for part in ("likes", "dislikes"))
    both = set(likes) & set(dislikes)
    repairs["contradicted"] += len(both)
    count = expected_count(catalogue, limits)
    repairs["surplus"] += sum(max(0, len(set(ids) - both) - count) for ids in (likes, dislikes))
    anchors: dict[str, float] = {}
    for item_id in catalogue.anchors:
        value = _level(data["anchors"].get(item_id), scenario)
        if value is None:
            repairs["bad_anchor"] += 1
        elif item_id not in touched:
            anchors[item_id] = value
    expectations = Expectations(
        likes=tuple(item_id for item_id in likes if item_id not in both)[:count],
        dislikes=tuple(item_id for item_id in dislikes if item_id not in both)[:count],
        anchors=anchors,
    )
    return ReadAnswer(factors, expectations, +repairs)


def _ids(named: list[Any], allowed: Collection[str], touched: Collection[str], repairs: Counter[str]) -> list[str]:
    kept: list[str] = []
    for entry in named:
        # Some models write ids as numbers.
        item_id = str(entry) if isinstance(entry, int) and not isinstance(entry, bool) else entry
        if not isinstance(item_id, str) or item_id not in allowed:
            repairs["unknown_item"] += 1
        elif item_id in kept:
            repairs["doubly_named"] += 1
        elif item_id in touched:
            repairs["touched_item"] += 1
        else:
            kept.append(item_id)
    return kept


def _level(value: object, scenario: Scenario) -> float | None:
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 4:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in scenario.levels:
        return None
    return float(value)
