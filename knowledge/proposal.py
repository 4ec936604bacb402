"""A proposed scenario as a TOML file that explains itself to the expert who edits it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from knowledge.text import clean


@dataclass(frozen=True)
class Factor:
    """One proposed factor: cleaned text, one line each. `why` is for the expert alone."""

    name: str
    user: str
    item: str
    why: str


_REST = """\
# The scale of values and of anchors. Check it against your ratings.
[scale]
lowest = 1
highest = 5
unit = "stars"

# How an action reads. `rate` carries its own value; the others have a fixed one on the scale, and are liked, neutral or
# disliked. Check each against what it means in your application; remove those that you do not have.
[actions.rate]
liked_above = 3.0

[actions.purchase]
value = 4.0
polarity = "liked"

[actions.view]
value = 3.0
polarity = "neutral"

[actions.click]
value = 3.0
polarity = "neutral"

[actions.skip]
value = 2.0
polarity = "disliked"

# How an event reads in a history: the first line with its polarity and a value at or above `from`. The LLM is told
# these words, never the number.
[[words]]
polarity = "liked"
from = 4.5
text = "loved"

[[words]]
polarity = "liked"
from = 0
text = "liked"

[[words]]
polarity = "neutral"
from = 0
text = "looked at"

[[words]]
polarity = "disliked"
from = 2.5
text = "found so-so"

[[words]]
polarity = "disliked"
from = 0
text = "disliked"

# The factors. Their order is the order of every vector, and their names are part of what is stored: settle both before
# the first run. Remove what overlaps or cannot be known of an item, and what asks for health, faith, politics, origin
# or sexual orientation.
"""


def render(name: str, noun: str, plural: str, factors: Sequence[Factor], item_fields: Sequence[str], model: str) -> str:
    """The file's text. `model` is named as the author of the factors."""
    head = [
        f"# {plural.capitalize()}: a proposal. Noun and factors are by an LLM ({clean(model, 60)}); the rest is as for",
        "# films. Read every line, edit it, then name this file in the setting `scenario`.",
        "",
        f"name = {_text(name)}",
        "# The words for one item and for several, as they stand inside a sentence. Check that they are such words.",
        f"noun = {_text(noun)}",
        f"plural = {_text(plural)}",
        "",
        "# Only these fields of a user's profile are ever told to the LLM. None is until you list it.",
        "profile_fields = []",
        "# Fields of an item's profile that are told as evidence: those that most of the sample items had.",
        f"item_fields = [{', '.join(map(_text, item_fields))}]",
        "",
        "",
    ]
    tables = (
        f"# {factor.why or 'No reason was given.'}\n[factors.{factor.name}]\n"
        f"user = {_text(factor.user)}\nitem = {_text(factor.item)}\n"
        for factor in factors
    )
    return "\n".join(head) + _REST + "\n" + "\n".join(tables)


def _text(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's, too, and `clean` left no control characters or lone surrogates."""
    return json.dumps(text, ensure_ascii=False)
