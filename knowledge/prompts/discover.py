"""The prompt that finds a new domain's factors from sample items.

Published is that factors come from an LLM and an expert (REKI, arXiv 2408.10520); the wording is ours.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from knowledge.prompts.parts import DATA_RULE, Limits, Prompt, build_prompt
from knowledge.schema import closed_object, short_text
from knowledge.text import clean, quoted

DISCOVER_TEMPLATE = "discover-1"
FEWEST_FACTORS, MOST_FACTORS = 5, 10
LINE_CHARS = 100
NOUN_CHARS = 30
_FIELDS_TOLD = 6


@dataclass(frozen=True)
class SampleItem:
    """One item of the new domain: untrusted text. No id: none is needed to find factors."""

    title: str
    fields: Mapping[str, str] = field(default_factory=dict)


def discovery_prompt(name: str, samples: Sequence[SampleItem], limits: Limits | None = None) -> Prompt:
    """Ask for noun, plural and 5 to 10 factors of the domain `name`, from sample items."""
    limits = limits or Limits()
    factor = closed_object(
        {
            "name": short_text(40),
            "user": short_text(LINE_CHARS),
            "item": short_text(LINE_CHARS),
            "why": short_text(LINE_CHARS),
        }
    )
    schema = closed_object(
        {
            "noun": short_text(NOUN_CHARS),
            "plural": short_text(NOUN_CHARS),
            "factors": {"type": "array", "items": factor, "minItems": FEWEST_FACTORS, "maxItems": MOST_FACTORS},
        }
    )
    return build_prompt(_task(), _samples(name, samples, limits), schema, DISCOVER_TEMPLATE)


def _task() -> list[str]:
    return [
        "You help an expert to describe what a recommender recommends.",
        "The next message names the domain and shows sample items, each with its title and what is known of it.",
        DATA_RULE,
        f"Find {FEWEST_FACTORS} to {MOST_FACTORS} factors by which people choose among such items. Along each factor "
        "one must be able to describe any item and any person's taste, so that the two can be compared.",
        "Factors do not overlap, hold for the whole domain and not for the samples alone, and can be judged from what "
        "is widely known of an item.",
        "No factor may ask for a person's health, faith, politics, origin or sexual orientation.",
        'Answer with one JSON object: "noun" and "plural" are the words for one item and for several; "factors" is a '
        "list, the most telling first, of objects with",
        '"name": one to three words in lower case, joined by _;',
        f'"user": what to say of a person along it, at most {LINE_CHARS} characters;',
        f'"item": what to say of an item along it, at most {LINE_CHARS} characters;',
        f'"why": why it matters here, for the expert, at most {LINE_CHARS} characters.',
        "An example from another domain, films:",
        '{"name":"genre","user":"which genres the person seeks out and which they avoid",'
        '"item":"genre and sub-genre","why":"most people choose a film by its genre first"}',
    ]


def _samples(domain: str, samples: Sequence[SampleItem], limits: Limits) -> list[str]:
    lines = [f"Domain: {quoted(domain.replace('_', ' '), 40)}", "Sample items:"]
    for sample in samples:
        told = list(sample.fields.items())[:_FIELDS_TOLD]
        known = {clean(name, 40): clean(str(value), limits.field_chars) for name, value in told if value}
        line = quoted(sample.title, limits.title_chars)
        lines.append(f"{line} {json.dumps(known, ensure_ascii=False)}" if known else line)
    return lines
