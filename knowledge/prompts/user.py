"""The prompt about one user: factor texts and expectations, from one call; whole or only what has changed."""

import json
from collections.abc import Iterable, Mapping

from knowledge.base import Polarity
from knowledge.catalogue import Catalogue
from knowledge.prompts.parts import (
    DATA_RULE,
    Limits,
    Prompt,
    answer_form,
    build_prompt,
    catalogue_lines,
    discretion,
    expectations_schema,
    expected_count,
    factor_lines,
    factors_schema,
    fields_told,
    titled,
)
from knowledge.prompts.words import count_in_words, history_in_words
from knowledge.requests import HistoryEntry, UserRequest, effective_history
from knowledge.scenario import Outcome, Scenario
from knowledge.schema import closed_object
from knowledge.text import clean, quoted

# Raise it when the wording, the order or the schema changes: a golden test reminds you.
USER_TEMPLATE = "user-2"

_HEADINGS = (("Liked", Polarity.LIKED), ("Not liked", Polarity.DISLIKED), ("Looked at", Polarity.NEUTRAL))


def user_prompt(
    scenario: Scenario,
    catalogue: Catalogue,
    titles: Mapping[str, str],
    request: UserRequest,
    limits: Limits | None = None,
) -> Prompt:
    """Ask for factor texts and expectations of one user, from one call.

    `titles` names the catalogue's items and the retrieved ones (untrusted text); items without a title are left out.
    Of an incremental request the answer may leave out every factor that the previous knowledge holds. Raises
    `TerminalError` (`no_titles`) if no item of the catalogue has a title.
    """
    limits = limits or Limits()
    catalogue = catalogue.known(titles)
    retrieved = retrieved_items(catalogue, titles, request, limits)
    before = _before(scenario, request, limits)
    factors = factors_schema(scenario, limits, optional=before if request.incremental else ())
    schema = closed_object(
        {"factors": factors, **expectations_schema(scenario, catalogue, limits, retrieved)},
    )
    own = _person(scenario, request, before, limits)
    if retrieved:
        own += [
            f"Found for this person, id and title (may be named like {scenario.plural} of the shortlist):",
            *titled(retrieved, {**titles, **request.retrieved_titles}, limits),
        ]
    shared = _shared_part(scenario, catalogue, titles, limits)
    return build_prompt(shared, own, schema, f"{scenario.name}-{USER_TEMPLATE}")


def retrieved_items(
    catalogue: Catalogue, titles: Mapping[str, str], request: UserRequest, limits: Limits
) -> tuple[str, ...]:
    """What the prompt offers beside the shortlist: retrieved items with a title that the user has not touched.

    Whoever reads the answer allows `catalogue.with_retrieved(...)` of them.
    """
    taken = {*catalogue.shortlist, *(entry.item_id for entry in request.history)}
    named = (item_id for item_id in request.retrieved if item_id in titles or item_id in request.retrieved_titles)
    offered = [item_id for item_id in dict.fromkeys(named) if item_id not in taken]
    return tuple(offered[: limits.retrieved_items])


def _shared_part(scenario: Scenario, catalogue: Catalogue, titles: Mapping[str, str], limits: Limits) -> list[str]:
    scale = scenario.scale
    count = expected_count(catalogue, limits)
    return [
        f"You know {scenario.plural} well and judge a person's taste by what the person did.",
        "The next message describes one person: profile, then what they liked and what they did not.",
        DATA_RULE,
        "Answer with one JSON object of four parts:",
        f'"factors": for each factor below one sentence of at most {limits.text_chars} characters on this person '
        "(where the next message says so, only for factors that have changed).",
        f'"likes": the ids of {count} {scenario.plural} of the shortlist that this person would love.',
        f'"dislikes": the ids of {count} others that this person might try and would not like.',
        f'"anchors": for each anchor id the {scale.unit}, {scale.lowest} to {scale.highest}, '
        "that this person would give.",
        f"Expect no {scenario.noun} that the person already knows, none twice, none as both like and dislike.",
        *discretion(scenario),
        f"Write the object on one line, without spaces between its parts: {answer_form(scenario, catalogue)}",
        "",
        *factor_lines(scenario.user_factors),
        "",
        *catalogue_lines(catalogue, titles, limits),
    ]


def _before(scenario: Scenario, request: UserRequest, limits: Limits) -> dict[str, str]:
    """The previous texts of the scenario's factors; none for a full regeneration."""
    if request.previous is None:
        return {}
    said = request.previous.factors
    return {name: clean(said[name], limits.text_chars, request.user_id) for name in scenario.factors if said.get(name)}


def _person(scenario: Scenario, request: UserRequest, before: Mapping[str, str], limits: Limits) -> list[str]:
    profile = fields_told(scenario.profile_fields, request.profile, limits, request.user_id)
    history = effective_history(request.history)
    lines = [f"Profile: {json.dumps(profile, ensure_ascii=False)}", history_in_words(scenario, history)]
    if before:
        # Earlier knowledge first and all events after it, old ones, too: profiles updated in place from what is new
        # alone keep old interests for too long (StreamProfileBench).
        lines += ["Said about the person earlier, perhaps outdated:", json.dumps(before, ensure_ascii=False)]
    new: set[HistoryEntry] = set()
    if before and request.incremental:
        count = min(request.new_events or 0, len(request.history))
        new = set(request.history[len(request.history) - count :])
        lines += _what_is_new(scenario, count)
    shown = history[-limits.history_items :]
    for heading, polarity in _HEADINGS:
        entries = [entry for entry in shown if entry.polarity is polarity]
        if entries:
            lines += [f"{heading}, oldest first:", *_events(scenario, entries, new, request, limits)]
    return lines


def _what_is_new(scenario: Scenario, count: int) -> list[str]:
    noun = scenario.noun if count == 1 else scenario.plural
    return [
        f"Since then: {count_in_words(count)} {noun}, marked with + below. Read everything again, old and new; what "
        "the person does now counts more than what was said.",
        'In "factors" write only the factors whose text is no longer right or was never said, and leave out all '
        "others. Give likes, dislikes and anchors anew.",
    ]


def _events(
    scenario: Scenario, entries: Iterable[HistoryEntry], new: set[HistoryEntry], request: UserRequest, limits: Limits
) -> Iterable[str]:
    for entry in entries:
        words = scenario.reading(Outcome(entry.value, entry.polarity))
        line = f"{'+ ' if entry in new else ''}{words} {quoted(entry.title, limits.title_chars, request.user_id)}"
        if entry.facts and limits.facts_chars:
            line += f" {quoted(entry.facts, limits.facts_chars, request.user_id)}"
        yield line
