"""What a record from outside must fulfil before it may stand beside our own: no more trusted than an LLM."""

import re

from pydantic import ValidationError

from knowledge.base import Expectations, Knowledge
from knowledge.scenario import Scenario
from knowledge.sensitive import without_sensitive
from knowledge.text import clean

LONGEST_TEXT = 2000  # characters of one factor
MOST_EXPECTED = 100  # likes, and dislikes
_SOURCE = re.compile(r"[A-Za-z0-9_.:/@+-]{1,100}")


def problem_of(knowledge: Knowledge, scenario: Scenario) -> str | None:
    """What is wrong with a record, in words; None = it may be taken."""
    for name in ("model", "template_version", "catalogue_version"):
        if _SOURCE.fullmatch(getattr(knowledge, name)) is None:
            return f"{name}: use 1 to 100 of A-Z a-z 0-9 _ . : / @ + -"
    if not knowledge.factors:
        return "factors: there are none"
    for factor, text in knowledge.factors.items():
        if factor not in scenario.factors:
            return f"factors: scenario {scenario.name} has no factor {factor[:40]!r}"
        if wrong := _text_problem(text, knowledge.entity):
            return f"factors.{factor}: {wrong}"
    if knowledge.entity == "item":
        return "expectations: items have none" if knowledge.expectations else None
    return _expected_problem(knowledge.expectations or Expectations(), scenario)


def words_of(error: ValidationError) -> str:
    """The first thing that is wrong, without the value: it may be personal data."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def _text_problem(text: str, entity: str) -> str | None:
    if not any(character.isalnum() for character in text):
        return "there is no word in it"
    if len(text) > LONGEST_TEXT:
        return f"longer than {LONGEST_TEXT} characters"
    if clean(text, LONGEST_TEXT) != " ".join(text.split()):
        return "it has an address, a link, a role mark or invisible characters in it"
    if entity == "user" and without_sensitive(text)[1]:
        return "it says something sensitive about the person (health, faith, politics, origin, orientation)"
    return None


def _expected_problem(expected: Expectations, scenario: Scenario) -> str | None:
    for name, ids in (("likes", expected.likes), ("dislikes", expected.dislikes)):
        if len(set(ids)) != len(ids):
            return f"expectations.{name}: an item is named twice"
        if len(ids) > MOST_EXPECTED:
            return f"expectations.{name}: more than {MOST_EXPECTED} items"
    if both := set(expected.likes) & set(expected.dislikes):
        return f"expectations: item {min(both)} is both liked and disliked"
    low, high = scenario.scale.lowest, scenario.scale.highest
    off = [item for item, value in expected.anchors.items() if not low <= value <= high]
    return f"expectations.anchors: the value of {off[0]} is not from {low} to {high}" if off else None
