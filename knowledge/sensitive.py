"""What must not be said about a person, taken out of an answer about them.

Health, faith, politics, origin and sexual orientation may be inferred from a history; nobody asked for it, and a
person would be hurt by it (the prompt asks against it, this filter does not rely on that). A *taste* is no such claim:
"likes religious epics" and "enjoys gay romance" speak of films. So a word alone never counts: it counts where the
sentence says it of the person. The rules are ours; their figures are in docs/knowledge-inside.md.
"""

import re
from collections import Counter

from knowledge.sensitive_terms import PERSON, STRONG, TASTE
from knowledge.sensitive_words import ATTRIBUTES, FACTS, INFERENCES, SPLIT, START, TOPICS, WORKS

__all__ = ["TOPICS", "sensitive_topic", "without_sensitive"]

# Works and figures in front of a claim take it over: "characters who lose their faith", "a film about his illness".
_ABOUT_WORKS = re.compile(rf"\b(?:{WORKS})\b", re.IGNORECASE)
_FOLLOWED_BY_WORKS = re.compile(rf"[\s/&-]*(?:(?:\w+[\s-]+)?|(?:and|or) \w+(?<!s) )(?:{WORKS})\b", re.IGNORECASE)
_CLAUSES = re.compile(
    rf"(?:,|:|\(|\)|\s-\s|\b(?:but|because|since|although|though|while|so that)\b|(?=\b(?:{INFERENCES})\b))",
    re.IGNORECASE,
)
_INFERENCE = re.compile(rf"\s*(?:{INFERENCES})\b", re.IGNORECASE)


def without_sensitive(text: str) -> tuple[str, Counter[str]]:
    """`text` without the sentences that make a sensitive claim on a person, and how many fell, by topic."""
    found: Counter[str] = Counter()
    kept = []
    for sentence in SPLIT.split(text):
        topic = sensitive_topic(sentence)
        if topic is None:
            kept.append(sentence)
        else:
            found[topic] += 1
    # Word for word where nothing falls: an unchanged text keeps its vector.
    return (" ".join(part.strip() for part in kept if part.strip()) if found else text), found


def sensitive_topic(sentence: str) -> str | None:
    """Which of `TOPICS` one sentence claims of the person, None for none."""
    about_works = False
    for clause in _CLAUSES.split(START + sentence.strip()):
        inferred = _INFERENCE.match(clause) is not None
        topic = _claimed(clause, about_works and not inferred, inferred)
        if topic is not None:
            return topic
        about_works = about_works or _ABOUT_WORKS.search(clause) is not None
    return None


def _claimed(clause: str, about_works: bool, inferred: bool) -> str | None:
    for topic, said in ATTRIBUTES:  # "is a devout Catholic", "as a gay man", "probably Republican"
        for match in said.finditer(clause):
            if _FOLLOWED_BY_WORKS.match(clause, match.end()) is None:
                return topic
    for topic, fact in FACTS:  # "suffers from", "her faith", "votes for", "of Polish descent"
        for match in fact.finditer(clause):
            of_works = about_works or _ABOUT_WORKS.search(clause, 0, match.start()) is not None
            if (inferred or not of_works) and _FOLLOWED_BY_WORKS.match(clause, match.end()) is None:
                return topic
    if not about_works and PERSON.search(clause) and not (TASTE.search(clause) or _ABOUT_WORKS.search(clause)):
        return next((topic for topic, word in STRONG if word.search(clause)), None)
    return None
