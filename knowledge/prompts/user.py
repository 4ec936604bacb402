"""The prompt about one user: factor texts and expectations, from one call."""

import json
from collections.abc import Mapping

from knowledge.base import Polarity
from knowledge.catalogue import Catalogue
from knowledge.prompts.parts import (
    DATA_RULE,
    Limits,
    Prompt,
    answer_form,
    build_prompt,
    catalogue_lines,
    expectations_schema,
    expected_count,
    factor_lines,
    factors_schema,
    fields_told,
)
from knowledge.requests import HistoryEntry, UserRequest, effective_history
from knowledge.scenario import Outcome, Scenario
from knowledge.schema import closed_object
from knowledge.text import clean, quoted

# Raise it when the wording, the order or the schema changes: a golden test reminds you.
USER_TEMPLATE = "user-1"

_HEADINGS = (("Liked", Polarity.LIKED), ("Not liked", Polarity.DISLIKED), ("Looked at", Polarity.NEUTRAL))


def user_prompt(
    scenario: Scenario,
    catalogue: Catalogue,
    titles: Mapping[str, str],
    request: UserRequest,
    limits: Limits | None = None,
) -> Prompt:
    """Ask for factor texts and expectations of one user, from one call.

    `titles` names the catalogue's items (untrusted text); items without a title are left out. Raises `TerminalError`
    (`no_titles`) if none has one.
    """
    limits = limits or Limits()
    catalogue = catalogue.known(titles)
    schema = closed_object(
        {"factors": factors_schema(scenario, limits), **expectations_schema(scenario, catalogue, limits)}
    )
    shared = _shared_part(scenario, catalogue, titles, limits)
    return build_prompt(shared, _person(scenario, request, limits), schema, f"{scenario.name}-{USER_TEMPLATE}")


def _shared_part(scenario: Scenario, catalogue: Catalogue, titles: Mapping[str, str], limits: Limits) -> list[str]:
    scale = scenario.scale
    count = expected_count(catalogue, limits)
    return [
        f"You know {scenario.plural} well and judge a person's taste by what the person did.",
        "The next message describes one person: profile, then what they liked and what they did not.",
        DATA_RULE,
        "Answer with one JSON object of four parts:",
        f'"factors": for each factor below one sentence of at most {limits.text_chars} characters on this person.',
        f'"likes": the ids of {count} {scenario.plural} of the shortlist that this person would love.',
        f'"dislikes": the ids of {count} others that this person might try and would not like.',
        f'"anchors": for each anchor id the {scale.unit}, {scale.lowest} to {scale.highest}, '
        "that this person would give.",
        f"Expect no {scenario.noun} that the person already knows, none twice, none as both like and dislike.",
        "Say nothing on health, faith, politics, origin or sexual orientation.",
        f"Write the object on one line, without spaces between its parts: {answer_form(scenario, catalogue)}",
        "",
        *factor_lines(scenario.user_factors),
        "",
        *catalogue_lines(catalogue, titles, limits),
    ]


def _person(scenario: Scenario, request: UserRequest, limits: Limits) -> list[str]:
    profile = fields_told(scenario.profile_fields, request.profile, limits, request.user_id)
    history = effective_history(request.history)[-limits.history_items :]
    lines = [f"Profile: {json.dumps(profile, ensure_ascii=False)}"]
    if request.previous is not None and request.previous.factors:
        # Earlier knowledge first and the events after it: what was re-read last weighs more (StreamProfileBench:
        # profiles updated in place keep old interests for too long).
        before = {
            name: clean(request.previous.factors[name], limits.text_chars, request.user_id)
            for name in scenario.factors
            if name in request.previous.factors
        }
        lines += ["Said about the person earlier, perhaps outdated:", json.dumps(before, ensure_ascii=False)]
    for heading, polarity in _HEADINGS:
        lines += _events(scenario, heading, [e for e in history if e.polarity is polarity], request, limits)
    return lines


def _events(
    scenario: Scenario, heading: str, entries: list[HistoryEntry], request: UserRequest, limits: Limits
) -> list[str]:
    if not entries:
        return []
    return [f"{heading}, oldest first:"] + [
        f"{scenario.reading(Outcome(entry.value, entry.polarity))} "
        f"{quoted(entry.title, limits.title_chars, request.user_id)}"
        for entry in entries
    ]
