"""Counts as words: a language model reads "several dozen" better than "47", and one more event seldom changes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from knowledge.base import Polarity
from knowledge.requests import HistoryEntry
from knowledge.scenario import Scenario
from knowledge.text import clean

_COUNTS = (
    (100, "a hundred or more"),
    (30, "several dozen"),
    (10, "a dozen or two"),
    (5, "several"),
    (2, "a few"),
    (1, "one"),
)
_SHARES = ((0.9, "nearly all"), (0.65, "most"), (0.35, "about half"), (0.1, "few"))


def count_in_words(count: int) -> str:
    """0 -> "no", 1 -> "one", 2-4 "a few", 5-9 "several", 10-29 "a dozen or two", 30-99 "several dozen"."""
    return next((word for least, word in _COUNTS if count >= least), "no")


def share_in_words(share: float) -> str:
    """A share from 0 to 1: "hardly any" below 0.1, then "few", "about half" (0.35-0.65), "most", "nearly all"."""
    return next((word for least, word in _SHARES if share >= least), "hardly any")


def history_in_words(scenario: Scenario, entries: Sequence[HistoryEntry]) -> str:
    """How much a person did and how much of it they liked: a strict judge's "liked" weighs more than a mild one's."""
    judged = [entry for entry in entries if entry.polarity is not Polarity.NEUTRAL]
    noun = scenario.noun if len(entries) == 1 else scenario.plural
    line = f"Met {count_in_words(len(entries))} {noun}"
    if len(judged) > 1:
        liked = sum(entry.polarity is Polarity.LIKED for entry in judged) / len(judged)
        line += f"; liked {share_in_words(liked)} of those that they judged"
    return f"{line}."


def facts_line(scenario: Scenario, fields: Mapping[str, Any], limit: int = 80) -> str:
    """An item's profile fields that the scenario lists, on one line: evidence beside its title in a history."""
    told = (f"{name} {clean(str(fields[name]), limit)}" for name in scenario.item_fields if fields.get(name))
    return "; ".join(told)[:limit].rstrip()
