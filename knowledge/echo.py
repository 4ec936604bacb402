"""What an answer must not repeat: the instructions it was given, ids, addresses. Such sentences are taken out, counted.

A factor text is shown to people and enters later prompts. One that carries the instructions, somebody's id or a link
is at best useless, at worst how an injection in a title gets out or stays in.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from knowledge.sensitive_words import SPLIT

_RUN = 6  # so many of the prompt's words in a row are no coincidence
_WORD = re.compile(r"\w+")
# Titles and texts of others stand in quotes: an answer may name a film with a long title.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_TITLED = re.compile(r'^\S+ "(?:[^"\\]|\\.)*"$', re.MULTILINE)
# "(e-mail)" and "(link)" are what `text.clean` leaves of an address.
_ADDRESS = re.compile(
    r"\((?:e-mail|link)\)|\S@\S|://|\bwww\.|\b[\w-]+\.(?:com|net|org|io|ru|cn|info|biz|xyz|shop|app|de|fr|es|uk)\b(?!\w)|"
    r"\+?\d[\d ()/-]{8,}\d",
    re.IGNORECASE,
)
_ID = re.compile(
    r"\b(?:user|item|film|book|track|article|product|catalogue|shortlist|anchor)?[ _-]?ids?\b\s*[:=#]?\s*\w*\d|"
    r"\b(?:item|user)s?\s*[:=#]?\s*\d+\b|#\d+\b|\(id\)|\b\d+(?:\s*,\s*\d+){3,}|\b[0-9a-f]{8}-[0-9a-f]{4}-",
    re.IGNORECASE,
)
_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.]{0,30}\b(?:instructions?|prompts?|rules|above|previous|prior|earlier)\b|"
    r"\bsystem (?:prompt|message)\b|\bas an? (?:ai|language model|assistant)\b|\bjson (?:object|schema)\b|"
    r"(?:^|\s)(?:system|assistant|user|developer|human)\s*:|<\||\|>|\u2039\||\|\u203a|\u2039\u2039|\u2039/?(?:s|sys|inst)\u203a|\(/?INST\)|"
    r"\b(?:everyone|everybody|(?:every|all|each) (?:users?|persons?|people|readers?|customers?|viewers?))(?:'s?)? "
    r"(?:likes|must|should|loves)\b|\badd(?:ed)? to (?:the )?(?:likes|dislikes|anchors)\b|"
    r'\b(?:likes|dislikes|anchors|factors)"?\s*:\s*[\[({]',
    re.IGNORECASE,
)


@dataclass(frozen=True)
class EchoCheck:
    """Knows one prompt. `ids`: those that it names and the subject's own; short ones cannot be told from words."""

    runs: frozenset[tuple[str, ...]] = frozenset()
    ids: frozenset[str] = field(default=frozenset())

    @classmethod
    def of(cls, contents: Iterable[str], ids: Collection[str] = ()) -> "EchoCheck":
        """Of a prompt's messages. Only its own words count, not what it quotes."""
        runs: frozenset[tuple[str, ...]] = frozenset().union(*map(_own_runs, contents))
        return cls(runs, frozenset(one.lower() for one in ids if _telling(one)))

    def reason(self, sentence: str) -> str | None:
        """Why this sentence must go: `echo_address`, `echo_id`, `echo_instruction`; None if it may stay."""
        if _ADDRESS.search(sentence):
            return "echo_address"
        # Also without the full stop that ends a sentence, which may be part of an id.
        tokens = [token.lower() for token in re.findall(r"[\w.:@-]+", sentence)]
        if _ID.search(sentence) or any(token in self.ids or token.rstrip(".:-") in self.ids for token in tokens):
            return "echo_id"
        if _INSTRUCTION.search(sentence) or any(run in self.runs for run in _runs(sentence)):
            return "echo_instruction"
        return None

    def without(self, text: str) -> tuple[str, Counter[str]]:
        """`text` without the sentences that must go, and how many fell, by reason; unchanged where none falls."""
        found: Counter[str] = Counter()
        kept = []
        for sentence in SPLIT.split(text):
            reason = self.reason(sentence)
            if reason is None:
                kept.append(sentence)
            else:
                found[reason] += 1
        return (" ".join(part.strip() for part in kept if part.strip()) if found else text), found


@lru_cache(maxsize=16)  # the first message of thousands of prompts is the same
def _own_runs(content: str) -> frozenset[tuple[str, ...]]:
    return frozenset(
        run for line in _TITLED.sub("", content).splitlines() for part in _QUOTED.split(line) for run in _runs(part)
    )


def _runs(text: str) -> list[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return [tuple(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1)]


def _telling(item_id: str) -> bool:
    """Whether an id names something wherever it stands: long, and no word or year."""
    return len(item_id) >= 6 and any(character.isdigit() for character in item_id)
