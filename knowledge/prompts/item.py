"""The prompt about one item: facts along the scenario's factors."""

import json

from knowledge.base import ItemProfile
from knowledge.prompts.parts import DATA_RULE, Limits, Prompt, build_prompt, factor_lines, factors_schema, fields_told
from knowledge.scenario import Scenario
from knowledge.schema import closed_object
from knowledge.text import quoted

# Raise it when the wording, the order or the schema changes: a golden test reminds you.
ITEM_TEMPLATE = "item-1"


def item_prompt(scenario: Scenario, profile: ItemProfile, limits: Limits | None = None) -> Prompt:
    """Ask for facts about one item along the same factors; the item fields that the scenario lists are evidence."""
    limits = limits or Limits()
    shared = [
        f"You know {scenario.plural} well. The next message names one {scenario.noun}.",
        DATA_RULE,
        'Answer with one JSON object: "factors" has one sentence of at most '
        f"{limits.text_chars} characters for each factor below. State facts; where you do not know, say so.",
        "",
        *factor_lines(scenario.item_factors),
    ]
    own = [f"{scenario.noun.capitalize()}: {quoted(profile.title, limits.title_chars)}"]
    known = fields_told(scenario.item_fields, profile.fields, limits)
    if known:
        own.append(f"Known: {json.dumps(known, ensure_ascii=False)}")
    schema = closed_object({"factors": factors_schema(scenario, limits)})
    return build_prompt(shared, own, schema, f"{scenario.name}-{ITEM_TEMPLATE}")
