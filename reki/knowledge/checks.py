"""What a record from outside must fulfil before it may stand beside our own: no more trusted than an LLM."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from knowledge.base import Expectations, Knowledge, TerminalError
from knowledge.scenario import Scenario
from knowledge.sensitive import without_sensitive
from knowledge.text import clean

LONGEST_TEXT = 2000  # characters of one factor
MOST_EXPECTED = 100  # likes, and dislikes
HEAVIEST = 1000.0  # a weight; ours are at most 1, and sums of weights must stay numbers
MOST_MODEL = 100  # characters of a model's name
_SOURCE = re.compile(rf"[A-Za-z0-9_.:/@+-]{{1,{MOST_MODEL}}}")
_TEMPLATE = re.compile(r"([a-z][a-z0-9_]*)-(?:user|item)-.*")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt_ ]")
_COUNTS = ("source_rev", "tokens_in", "tokens_cached", "tokens_out")
_TIMES = ("source_through", "generated_at")
_Record = TypeVar("_Record", bound=BaseModel)


def scenario_of(knowledge: Knowledge) -> str | None:
    """The scenario that its template version names; None where that names none (recorded, or of somebody else)."""
    named = _TEMPLATE.fullmatch(knowledge.template_version)
    return named[1] if named else None


def belongs(knowledge: Knowledge, scenario: Scenario) -> bool:
    """Whether a stored record is of this scenario: one store may hold knowledge of several."""
    named = scenario_of(knowledge)
    return scenario.factors_by_name.keys() >= knowledge.factors.keys() and named in (None, scenario.name)


def read_record(kind: type[_Record], fields: Mapping[str, Any] | str | bytes) -> _Record | str:
    """A record from JSON or from its fields, or what is wrong with it, in words and without the value."""
    try:
        if isinstance(fields, str | bytes):
            return kind.model_validate_json(fields)
        return kind.model_validate(fields)
    except ValidationError as error:
        return words_of(error, kind)
    except TerminalError as error:  # a time that UTC cannot hold
        return error.message


def fields_problem(fields: Mapping[str, Any]) -> str | None:
    """What pydantic would read all the same: a number as a time, and true or "5" as a count."""
    for name in _TIMES:
        value = fields.get(name)
        written = isinstance(value, datetime) or (isinstance(value, str) and _TIME.match(value) is not None)
        if value is not None and not written:
            return f"{name}: write a time with its zone, as 2026-01-31T12:00:00Z"
    for name in _COUNTS:
        value = fields.get(name, 0)
        if value is not None and type(value) is not int:
            return f"{name}: write a whole number"
    return None


def problem_of(knowledge: Knowledge, scenario: Scenario) -> str | None:
    """What is wrong with a record, in words; None = it may be taken."""
    for name in ("model", "template_version", "catalogue_version"):
        if _SOURCE.fullmatch(getattr(knowledge, name)) is None:
            return f"{name}: use 1 to 100 of A-Z a-z 0-9 _ . : / @ + -"
    if (named := scenario_of(knowledge)) not in (None, scenario.name):
        return f"template_version: it is of scenario {named}, and REKI_SCENARIO is {scenario.name}"
    if not knowledge.factors:
        return "factors: there are none"
    for factor, text in knowledge.factors.items():
        if factor not in scenario.factors:
            return f"factors: scenario {scenario.name} has no factor {factor[:40]!r}"
        if wrong := _text_problem(text, knowledge.entity):
            return f"factors.{factor}: {wrong}"
    if len(set(knowledge.changed)) != len(knowledge.changed) or not set(knowledge.changed) <= set(scenario.factors):
        return f"changed: name factors of scenario {scenario.name}, each once"
    if knowledge.entity == "item":
        return "expectations: items have none" if knowledge.expectations else None
    return _expected_problem(knowledge.expectations or Expectations(), scenario)


def words_of(error: ValidationError, kind: type[BaseModel] | None = None) -> str:
    """The first thing that is wrong, without the value: it may be personal data. `kind` names the keys there are."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part)[:100] for part in first["loc"])
    if first["type"] == "extra_forbidden":
        keys = list(kind.model_fields) if kind is not None and len(first["loc"]) == 1 else []
        return f"{where}: there is no such key" + (
            f": use {', '.join(keys)}" + ("; further facts go into fields" if "fields" in keys else "") if keys else ""
        )
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


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
    if off:
        return f"expectations.anchors: the value of {off[0]} is not from {low} to {high}"
    for item, weight in expected.weights.items():
        if not 0 < weight <= HEAVIEST:
            return f"expectations.weights: the weight of {item} is not above 0 and at most {HEAVIEST:.0f}"
        if item not in expected.likes and item not in expected.dislikes:
            return f"expectations.weights: {item} is neither liked nor disliked"
    return None
