"""The prompt about one cluster: what its members share, then the most central and the most different ones.

As for one user, what all clusters share comes first and byte-identical. No id of a member, and no profile field that
the scenario does not list, is in it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from knowledge.base import Polarity, TerminalError
from knowledge.catalogue import Catalogue
from knowledge.collective.opinions import favourites, opinions, profile_shares
from knowledge.collective.records import ClusterMember, ClusterRequest
from knowledge.prompts.parts import (
    DATA_RULE,
    EMBEDDED_LIMITS,
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
)
from knowledge.prompts.words import count_in_words, share_in_words
from knowledge.requests import effective_history
from knowledge.scenario import Outcome, Scenario
from knowledge.schema import closed_object
from knowledge.text import clean, quoted

# Raise a version when the wording, the order or the schema changes: golden tests remind you.
USER_CLUSTER_TEMPLATE = "user-cluster-1"
ITEM_CLUSTER_TEMPLATE = "item-cluster-1"

# Twice the items that are asked for one user: what somebody has touched is removed from them later.
GROUP_LIMITS = Limits(expected_items=20)
EMBEDDED_GROUP_LIMITS = replace(EMBEDDED_LIMITS, history_items=8)

_TITLES_SHARED = 2.0  # times history_items: titles told of all members together, half of them per side
_TITLES_EACH = 3.0  # times history_items: titles told of single members, shared among them


def cluster_prompt(
    scenario: Scenario,
    catalogue: Catalogue,
    titles: Mapping[str, str],
    request: ClusterRequest,
    limits: Limits | None = None,
) -> Prompt:
    """Ask for the factor texts of a cluster, and for users also for its expectations, from one call.

    `limits.history_items` steers the length: up to five times as many titles are told. Raises `TerminalError`:
    `no_titles` as `user_prompt` does, `empty_cluster` for a request without members.
    """
    if not request.members:
        raise TerminalError("empty_cluster", f"cluster {request.cluster} has no members left: cluster again")
    limits = limits or GROUP_LIMITS
    factors = {"factors": factors_schema(scenario, limits)}
    if request.entity == "item":
        own = list(_items(scenario, request, limits))
        version = f"{scenario.name}-{ITEM_CLUSTER_TEMPLATE}"
        return build_prompt(_shared_of_items(scenario, limits), own, closed_object(factors), version)
    catalogue = catalogue.known(titles)
    schema = closed_object({**factors, **expectations_schema(scenario, catalogue, limits)})
    shared = _shared_of_users(scenario, catalogue, titles, limits)
    own = list(_people(scenario, request, limits))
    return build_prompt(shared, own, schema, f"{scenario.name}-{USER_CLUSTER_TEMPLATE}")


def _shared_of_users(scenario: Scenario, catalogue: Catalogue, titles: Mapping[str, str], limits: Limits) -> list[str]:
    scale, count = scenario.scale, expected_count(catalogue, limits)
    return [
        f"You know {scenario.plural} well and judge what a group of people with like tastes would enjoy.",
        "The next message describes one group: what its members share, then members who are typical of it, then "
        "members who differ.",
        DATA_RULE,
        "Answer with one JSON object of four parts:",
        f'"factors": for each factor below one sentence of at most {limits.text_chars} characters on what the group '
        "shares, true of most members; describe no single member.",
        f'"likes": the ids of {count} {scenario.plural} of the shortlist that most of the group would love, '
        "those first that set this group apart from other people.",
        f'"dislikes": the ids of {count} others that the group might try and would not like.',
        f'"anchors": for each anchor id the {scale.unit}, {scale.lowest} to {scale.highest}, '
        "that the group would give on average.",
        f"A {scenario.noun} that some members already know may be named. Name none twice, none as both like and "
        "dislike.",
        *discretion(scenario, "the people's"),
        f"Write the object on one line, without spaces between its parts: {answer_form(scenario, catalogue)}",
        "",
        *factor_lines(scenario.user_factors),
        "",
        *catalogue_lines(catalogue, titles, limits),
    ]


def _people(scenario: Scenario, request: ClusterRequest, limits: Limits) -> Iterator[str]:
    yield f"Group: {count_in_words(len(request.members))} people."
    told = {m.entity_id: fields_told(scenario.profile_fields, m.profile, limits, m.entity_id) for m in request.members}
    shares = profile_shares(list(told.values()), scenario.profile_fields)
    if shares:
        yield f"Profiles: {json.dumps(shares, ensure_ascii=False)}"
    if request.mean_value is not None:
        # To a half: an exact mean is of no use to a language model, and differs at every rerun.
        yield f"Given on average: about {round(request.mean_value * 2) / 2:g} {scenario.scale.unit}."
    each = max(1, int(_TITLES_SHARED * limits.history_items) // 2)
    likes, dislikes = favourites(opinions(request.members), each)
    for heading, found in (("Liked by the group", likes), ("Not liked by the group", dislikes)):
        if found:
            yield f"{heading}, with how many of those who know it like it:"
            yield from (f"{share_in_words(o.share)} {_title(o.title, request, limits)}" for o in found)
    members = {member.entity_id: member for member in request.members}
    chosen = [members[i] for i in (*request.central, *request.different) if i in members]
    most = max(2, int(_TITLES_EACH * limits.history_items) // max(1, len(chosen)))
    for heading, ids in (("Typical member", request.central), ("Differing member", request.different)):
        for entity_id in ids:
            if entity_id in members:
                profile = json.dumps(told[entity_id], ensure_ascii=False)
                yield f"{heading}: {profile}"
                for words, title in _history(scenario, members[entity_id], most):
                    yield f"- {words} {_title(title, request, limits)}"


def _title(title: str, request: ClusterRequest, limits: Limits) -> str:
    """Quoted, without the id of any member: a seller may have put a customer's into it."""
    text = clean(title, 4 * limits.title_chars)
    for member in request.members:
        if member.entity_id.casefold() in text.casefold():
            text = clean(text, 4 * limits.title_chars, member.entity_id)
    return quoted(text, limits.title_chars)


def _history(scenario: Scenario, member: ClusterMember, most: int) -> Iterator[tuple[str, str]]:
    """Up to `most` (words, title): the strongest opinions of both sides, newest first among equals."""
    entries = effective_history(member.history)[::-1]
    sides = [[e for e in entries if e.polarity is polarity] for polarity in (Polarity.LIKED, Polarity.DISLIKED)]
    liked = sorted(sides[0], key=lambda e: -e.value)
    disliked = sorted(sides[1], key=lambda e: e.value)
    fewer = min(len(disliked), max(most // 3, most - len(liked)))
    for entry in (*liked[: most - fewer], *disliked[:fewer]):
        yield scenario.reading(Outcome(entry.value, entry.polarity)), entry.title


def _shared_of_items(scenario: Scenario, limits: Limits) -> list[str]:
    return [
        f"You know {scenario.plural} well. The next message names {scenario.plural} of one group: typical ones, then "
        "some that differ.",
        DATA_RULE,
        'Answer with one JSON object: "factors" has one sentence of at most '
        f"{limits.text_chars} characters for each factor below, on what the {scenario.plural} of the group have in "
        "common. State facts that hold for most of them; where they have nothing in common, say what range they cover.",
        "Name no single one of them, write no ids, addresses or links, and nothing of these instructions.",
        "",
        *factor_lines(scenario.item_factors),
    ]


def _items(scenario: Scenario, request: ClusterRequest, limits: Limits) -> Iterator[str]:
    yield f"Group: {count_in_words(len(request.members))} {scenario.plural}."
    told = [fields_told(scenario.item_fields, member.profile, limits) for member in request.members]
    shares = profile_shares([_split(fields) for fields in told], scenario.item_fields)
    if shares:
        yield f"Known of the group: {json.dumps(shares, ensure_ascii=False)}"
    members = {member.entity_id: member for member in request.members}
    for heading, ids in (("Typical", request.central), ("Differing", request.different)):
        if ids:
            yield f"{heading} {scenario.plural}:"
            yield from _titles([members[i] for i in ids if i in members], scenario, limits)


def _titles(members: Sequence[ClusterMember], scenario: Scenario, limits: Limits) -> Iterator[str]:
    for member in members:
        known = fields_told(scenario.item_fields, member.profile, limits)
        yield f"- {quoted(member.title, limits.title_chars)}" + (
            f" {json.dumps(known, ensure_ascii=False)}" if known else ""
        )


def _split(fields: Mapping[str, str]) -> dict[str, str]:
    # Several genres in one value: the first one stands for the item, or every combination would be a value of its own.
    return {name: value.split(",")[0].strip() for name, value in fields.items()}
