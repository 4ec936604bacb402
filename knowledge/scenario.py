"""A scenario: what is recommended, along which factors it is described, and how actions read. A TOML file each.

Five are built in (films, books, news, music, products); a file of your own is named by its path. Adding a domain needs
no code.
"""

import math
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from knowledge.base import Action, Polarity, TerminalError
from knowledge.base.files import fault

_Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
_Line = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\r\n]+$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Scale(_Part):
    lowest: int
    highest: int
    unit: _Line


class _Rule(_Part):
    value: float | None = None
    polarity: Polarity | None = None
    liked_above: float | None = None


class _Words(_Part):
    polarity: Polarity
    at_least: float = Field(alias="from")
    text: _Line


class _Factor(_Part):
    user: _Line
    item: _Line


@dataclass(frozen=True)
class Outcome:
    """How a scenario reads one event: a number on its scale, and liked, neutral or disliked."""

    value: float
    polarity: Polarity


class Scenario(_Part):
    """One domain, as its file says it."""

    name: _Key
    noun: _Line
    plural: _Line
    profile_fields: tuple[_Key, ...] = Field(description="Profile fields that may be told to the LLM.")
    item_fields: tuple[_Key, ...] = Field(default=(), description="Item fields that may be told to the LLM.")
    scale: _Scale
    actions: dict[Action, _Rule]
    words: tuple[_Words, ...]
    factors_by_name: dict[_Key, _Factor] = Field(alias="factors", min_length=1, max_length=20)

    @property
    def factors(self) -> tuple[str, ...]:
        """The factors' names, in the order of the file: the order of vectors everywhere."""
        return tuple(self.factors_by_name)

    @property
    def user_factors(self) -> dict[str, str]:
        """Factor name -> one line on what to say about a user."""
        return {name: factor.user for name, factor in self.factors_by_name.items()}

    @property
    def item_factors(self) -> dict[str, str]:
        """Factor name -> one line on what to say about an item."""
        return {name: factor.item for name, factor in self.factors_by_name.items()}

    @property
    def levels(self) -> tuple[int, ...]:
        """The values that an anchor may get (films: 1 to 5)."""
        return tuple(range(self.scale.lowest, self.scale.highest + 1))

    def outcome(self, action: Action | str, value: float | None) -> Outcome:
        """Read an event.

        A value beside an action that has a fixed one (seconds viewed, a price) is not used.

        Raises:
            TerminalError: `bad_action` for an action that the scenario does not know; `bad_value` for a rating
                that is missing, not finite or off the scale.
        """
        rule = self.actions.get(Action(action)) if action in set(Action) else None
        if rule is None:
            known = ", ".join(sorted(self.actions))
            raise TerminalError("bad_action", f"{str(action)[:40]!r} means nothing in {self.name}: use one of {known}")
        if rule.value is not None and rule.polarity is not None:
            return Outcome(rule.value, rule.polarity)
        low, high = self.scale.lowest, self.scale.highest
        if value is None or not math.isfinite(value) or not low <= value <= high:
            raise TerminalError("bad_value", f"{action} needs a value from {low} to {high} {self.scale.unit}: {value}")
        liked = rule.liked_above is not None and value > rule.liked_above
        return Outcome(float(value), Polarity.LIKED if liked else Polarity.DISLIKED)

    def reading(self, outcome: Outcome) -> str:
        """The words for an event in a history ("loved"): the LLM is told no raw numbers."""
        for words in self.words:
            if words.polarity is outcome.polarity and outcome.value >= words.at_least:
                return words.text
        return outcome.polarity.value


def parse_scenario(text: str, origin: str) -> Scenario:
    """Read a scenario file; raises `TerminalError` (`bad_scenario`) that names `origin` and what is wrong."""
    try:
        scenario = Scenario.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise TerminalError("bad_scenario", f"{origin} is not TOML: {error}") from None
    except RecursionError:
        raise TerminalError("bad_scenario", f"{origin} is nested too deeply to be a scenario") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part)[:100] for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise TerminalError("bad_scenario", f"{origin}: {where}: {message}") from None
    low, high = scenario.scale.lowest, scenario.scale.highest
    if low >= high:
        raise TerminalError("bad_scenario", f"{origin}: scale.lowest must be below scale.highest")
    for action, rule in scenario.actions.items():
        fixed = rule.value is not None and rule.polarity is not None
        off = [value for value in (rule.value, rule.liked_above) if value is not None and not low <= value <= high]
        if off:
            raise TerminalError("bad_scenario", f"{origin}: actions.{action}: {off[0]} is not from {low} to {high}")
        if fixed == (rule.liked_above is not None) or (rule.value is None) != (rule.polarity is None):
            raise TerminalError(
                "bad_scenario", f"{origin}: actions.{action} needs either value and polarity, or liked_above alone"
            )
    return scenario


def scenario_names() -> list[str]:
    """The built-in scenarios."""
    folder = files("knowledge") / "scenarios"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


@cache
def load_scenario(name: str) -> Scenario:
    """The built-in scenario of that name, or the one in a file of your own: a path that ends in `.toml`.

    Read once in a process. Raises `TerminalError` (`bad_scenario`) if there is none or its file is wrong.
    """
    if name.endswith(".toml"):
        return _own_scenario(name)
    # The name comes from settings and becomes a path.
    if re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) is None or name not in scenario_names():
        known = ", ".join(scenario_names())
        raise TerminalError(
            "bad_scenario", f"there is no scenario {name[:40]!r}: use one of {known}, or the path of a .toml file"
        )
    resource = files("knowledge") / "scenarios" / f"{name}.toml"
    return parse_scenario(resource.read_text(encoding="utf-8"), f"scenario {name}")


def _own_scenario(name: str) -> Scenario:
    try:
        path = Path(name).expanduser()
        text = path.read_text(encoding="utf-8-sig")
    except RuntimeError as error:  # "~somebody": there is no such person
        raise TerminalError("bad_scenario", f"the scenario file {name} cannot be read: {error}") from None
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the name
        raise TerminalError("bad_scenario", f"the scenario file {name} cannot be read: {fault(error)}") from None
    scenario = parse_scenario(text, f"scenario file {path}")
    if scenario.name in scenario_names():
        # The name is part of every template version, and that decides which answers a ranker was trained for.
        raise TerminalError(
            "bad_scenario",
            f"the scenario file {path} is named like the built-in {scenario.name!r}: give it another name",
        )
    return scenario
