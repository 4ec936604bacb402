"""The demo's tables: who changed and why, what the LLM now says, and what Triton answers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowledge.base import Expectations
from reki.demo.plan import TOP, Role, Visitor
from reki.demo.screen import Screen
from serving.answer import Recommendation, UserFallback
from streams.await_applied import Applied, NotChanged

Titles = Mapping[str, str]


@dataclass(frozen=True)
class Answers:
    """Triton's answers for one visitor: before anything, after the last event, after new knowledge (or the end)."""

    before: Recommendation
    experienced: Recommendation
    after: Recommendation


def top(visitor: Visitor, answer: Recommendation) -> list[str]:
    """Item ids of the ten best candidates, best first."""
    return [visitor.candidates[index] for index in answer.order[:TOP]]


def hits(visitor: Visitor, answer: Recommendation) -> int:
    """How many of the ten the person really went on to like."""
    return len(visitor.liked_later.intersection(top(visitor, answer)))


def person(profile: Mapping[str, str]) -> str:
    """A user in a few words."""
    return ", ".join(profile[name] for name in ("age", "gender", "occupation") if profile.get(name))


def show_changes(
    screen: Screen,
    visitors: Sequence[Visitor],
    outcomes: Mapping[str, Applied | NotChanged],
    answers: Mapping[str, Answers],
    about: Callable[[str], str],
) -> None:
    """One row per visitor: changed or not, why, and how fresh the knowledge behind the last answer was."""
    rows = []
    for visitor in visitors:
        outcome, answer = outcomes[visitor.user_id], answers[visitor.user_id].after
        changed = isinstance(outcome, Applied)
        why = f"{len(visitor.replay)} new events" if isinstance(outcome, Applied) else outcome.reason
        source = {Role.RECORDED: "recorded", Role.LIVE: "embedded LLM"}.get(visitor.role, "-")
        masked = bool(answer.user_fallback & UserFallback.SOURCE_NOT_ACCEPTED)
        rows.append(
            (
                visitor.user_id,
                about(visitor.user_id),
                str(len(visitor.replay)),
                "yes" if changed else "no",
                why,
                source if changed else "-",
                _age(answer.knowledge_age_s),
                str(answer.events_since_knowledge),
                "no *" if masked else "yes",
            )
        )
    columns = ("user", "who", "events", "changed", "why", "new knowledge", "age", "unseen", "used")
    note = (
        "age = of the knowledge behind the last answer; unseen = events that it has not seen; "
        "* = stored and shown, but not used: the release was not trained with this LLM's answers"
    )
    screen.table("Who changed", columns, rows, note)


def show_knowledge(
    screen: Screen, user_id: str, before: Mapping[str, Any], after: Mapping[str, Any], titles: Titles
) -> None:
    """Factor by factor, what changed marked with *; then the expected likes and dislikes by title."""
    rows = []
    for factor, text in after["factors"].items():
        old = before["factors"].get(factor, "")
        rows.append((("* " if text != old else "  ") + factor, old, text if text != old else "(unchanged)"))
    screen.table(f"What is known about user {user_id} (* = changed)", ("factor", "before", "after"), rows)
    old_expectations: Expectations = before["expectations"]
    new_expectations: Expectations = after["expectations"]
    rows = []
    for word, old_ids, new_ids in (
        ("would love", old_expectations.likes, new_expectations.likes),
        ("would not like", old_expectations.dislikes, new_expectations.dislikes),
    ):
        kept = set(old_ids)
        rows.append(
            (
                word,
                ", ".join(titles.get(item, item) for item in old_ids),
                ", ".join(("" if item in kept else "* ") + titles.get(item, item) for item in new_ids),
            )
        )
    screen.table(f"What the LLM expects of user {user_id} (* = new)", ("", "before", "after"), rows)


def show_ranking(screen: Screen, visitor: Visitor, answers: Answers, titles: Titles, about: str) -> None:
    """The ten best of the candidates at three moments, with movements and what the person really liked later."""
    columns = [top(visitor, answer) for answer in (answers.before, answers.experienced, answers.after)]
    ranks = [list(answer.order) for answer in (answers.before, answers.after)]
    rows = []
    for place in range(TOP):
        cells = [titles.get(column[place], column[place]) + _star(visitor, column[place]) for column in columns]
        index = visitor.candidates.index(columns[2][place])
        rows.append((str(place + 1), *cells, _moved(ranks[0].index(index), ranks[1].index(index))))
    screen.table(
        f"Top {TOP} of {len(visitor.candidates)} candidates for user {visitor.user_id} ({about})",
        ("", "before", "after the events (no LLM call)", "with new knowledge", "moved"),
        rows,
        note="♥ = the person really went on to rate this film above 3 stars; moved = places since before",
    )


def show_hits(screen: Screen, visitors: Sequence[Visitor], answers: Mapping[str, Answers]) -> None:
    """How many of all tops the people went on to like, at the three moments; an illustration, not an evaluation."""
    totals = [
        sum(hits(visitor, getattr(answers[visitor.user_id], moment)) for visitor in visitors)
        for moment in ("before", "experienced", "after")
    ]
    screen.line(
        f"Of the top {TOP} of {len(visitors)} changed users, films that these people really went on to like: "
        f"{totals[0]} before, {totals[1]} after the events, {totals[2]} with new knowledge "
        f"(of {sum(len(visitor.liked_later) for visitor in visitors)} among the candidates). "
        "So few people illustrate; what knowledge is worth on all users is the AUC of the folds above."
    )


def _star(visitor: Visitor, item_id: str) -> str:
    return " ♥" if item_id in visitor.liked_later else ""


def _moved(before: int, after: int) -> str:
    if before == after:
        return "="
    return f"↑{before - after}" if before > after else f"↓{after - before}"


def _age(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds:.0f} s"
