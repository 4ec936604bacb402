"""Injection attempts in titles, profiles and earlier texts: none forges structure, few get what they want.

The rates are printed by `benchmarks/injections.py` and stand in docs/knowledge-inside.md.
"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from injection_parts import ATTEMPTS, SCENARIO, TARGET, ObeyingServer, benign, cleaned, forged, raw, subject
from injection_run import run
from knowledge_parts import START, entry

from knowledge.base import ItemProfile
from knowledge.catalogue import Catalogue
from knowledge.prompts import item_prompt, user_prompt
from knowledge.requests import UserRequest
from knowledge.scenario import load_scenario

SCENARIOS = ("films", "books", "news", "music", "products")


def test_the_set_has_at_least_forty_attempts_of_many_kinds_in_several_languages():
    assert len(ATTEMPTS) >= 40
    assert len({attempt.kind for attempt in ATTEMPTS}) >= 10
    assert len({attempt.language for attempt in ATTEMPTS}) >= 6
    assert len({attempt.place for attempt in ATTEMPTS}) == 6


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.id)
def test_no_attempt_forges_structure_once_it_is_cleaned(attempt):
    assert forged(cleaned(attempt), benign(attempt)) == set()


def test_the_measure_of_structure_can_fail():
    found = [forged(raw(attempt), benign(attempt)) for attempt in ATTEMPTS]
    assert sum(map(bool, found)) >= 25
    assert set().union(*found) == {"role mark", "invisible character", "line", "outside the quotes"}


@pytest.mark.parametrize("gullible", [False, True], ids=["structural", "gullible"])
async def test_a_server_that_obeys_gets_nothing_but_catalogue_items_and_harmless_words_through(gullible, tmp_path):
    server = await ObeyingServer(gullible).start()
    outcomes = await run(server, tmp_path)
    await server.stop()
    before = [one for one in outcomes if one.before]
    after = {one.attempt.id: one.attempt.goal for one in outcomes if one.after}
    assert len(before) >= 20
    if not gullible:
        assert after == {}
    # An order to name an item of the shortlist, or to say a harmless word, cannot be told from taste; nor can a
    # refusal be mended, and the previous knowledge stays.
    assert set(after.values()) <= {"name_item", "say_phrase", "deny"}
    for one in outcomes:
        if one.after and one.attempt.goal == "name_item":
            assert TARGET in one.likes, "an item outside the shortlist got through"


def test_an_attempt_stays_inside_its_own_line_whatever_its_text(tmp_path):
    attempt = next(one for one in ATTEMPTS if one.place == "history_title")

    @settings(max_examples=150, deadline=None)
    @given(st.text(max_size=120))
    def check(text):
        made, titles = subject(attempt, text)
        prompt = user_prompt(SCENARIO, Catalogue("t", ("1",), tuple(titles)), titles, made)
        made, titles = subject(attempt, "Plain words")
        assert forged(prompt, user_prompt(SCENARIO, Catalogue("t", ("1",), tuple(titles)), titles, made)) == set()

    check()


@pytest.mark.parametrize("name", SCENARIOS)
def test_fields_outside_the_scenario_never_reach_a_prompt(name):
    scenario = load_scenario(name)
    listed = {*scenario.profile_fields, *scenario.item_fields}
    names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(lambda field: field not in listed)
    usual = st.sampled_from(["email", "name", "phone", "address", "religion", "income", "Age", "gender ", "user_id"])
    value = st.from_regex(r"unlisted[a-z0-9]{8}", fullmatch=True)

    @settings(max_examples=40, deadline=None)
    @given(st.dictionaries(names | usual.filter(lambda field: field not in listed), value, min_size=1, max_size=4))
    def check(fields):
        own = {field: f"listed {field}" for field in scenario.profile_fields}
        request = UserRequest("user-7f3a", {**own, **fields}, (entry("5", 4, 0),), 1, START, None, 1)
        told = json.dumps(
            user_prompt(scenario, Catalogue("t", ("1",), ("1", "8")), {"1": "A", "8": "B"}, request).messages
        )
        profile = ItemProfile(item_id="i", title="A", fields={**dict.fromkeys(scenario.item_fields, "x"), **fields})
        told += json.dumps(item_prompt(scenario, profile).messages)
        assert all(f"listed {field}" in told for field in scenario.profile_fields)
        assert not any(hidden in told for hidden in fields.values())

    check()
