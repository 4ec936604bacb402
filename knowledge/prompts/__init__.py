"""Prompts as pure functions: records in, messages and the answer's JSON schema out. No I/O, no clock, no randomness.

What all users share (task, factors, anchors, shortlist) is the first message, byte-identical: a server with a prefix
cache computes it once. The person comes last. User ids, names and e-mail addresses never enter a prompt, nor do
profile fields that the scenario does not list. The split by factors is REKI's (factorization prompting, arXiv
2408.10520); the expectations and all wording are ours.
"""

from knowledge.prompts.discover import DISCOVER_TEMPLATE, SampleItem, discovery_prompt
from knowledge.prompts.item import ITEM_TEMPLATE, item_prompt
from knowledge.prompts.parts import EMBEDDED_LIMITS, Limits, Message, Prompt, expected_count
from knowledge.prompts.user import USER_TEMPLATE, retrieved_items, user_prompt
from knowledge.prompts.words import count_in_words, facts_line, share_in_words

__all__ = [
    "DISCOVER_TEMPLATE",
    "EMBEDDED_LIMITS",
    "ITEM_TEMPLATE",
    "USER_TEMPLATE",
    "Limits",
    "Message",
    "Prompt",
    "SampleItem",
    "count_in_words",
    "discovery_prompt",
    "expected_count",
    "facts_line",
    "item_prompt",
    "retrieved_items",
    "share_in_words",
    "user_prompt",
]
