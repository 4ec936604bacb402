"""The naming report: an item that is named for everybody is found, whatever made it so."""

import json

import pytest
from injection_parts import ATTEMPTS, CATALOGUE, TARGET, answer, benign

from knowledge.answers import read_user
from knowledge.base import Expectations
from knowledge.naming import naming_report
from knowledge.prompts import Limits
from knowledge.recorded import RecordedStore


def test_an_item_named_for_more_than_a_quarter_of_users_is_flagged_and_one_for_a_quarter_is_not():
    users = [Expectations(likes=("a", "b")), Expectations(dislikes=("b",)), Expectations(likes=("c",)), Expectations()]
    report = naming_report([*users, None], ["a", "b", "c", "d"])
    assert report.users == 4
    assert [(n.item_id, n.likes, n.dislikes, n.share, n.flagged) for n in report.items] == [
        ("b", 1, 1, 0.5, True),
        ("a", 1, 0, 0.25, False),
        ("c", 1, 0, 0.25, False),
    ]
    assert [item.item_id for item in report.flagged] == ["b"]
    assert (report.never, report.by_place) == (1, ())


def test_an_item_named_twice_for_one_user_counts_once():
    assert naming_report([Expectations(likes=("a", "a"), dislikes=("a",))]).items[0].share == 1


def test_nobody_is_a_report_too():
    report = naming_report([], ["a"])
    assert (report.users, report.items, report.flagged, report.never) == (0, (), (), 1)


def test_a_model_that_always_names_the_top_of_the_list_shows_in_the_places():
    shortlist = [f"i{n}" for n in range(40)]
    report = naming_report([Expectations(likes=tuple(shortlist[:4]))] * 3, shortlist)
    assert report.by_place == (1.0, *[0.0] * 9)
    assert sum(naming_report([Expectations(likes=tuple(shortlist))], shortlist).by_place) == pytest.approx(1, abs=0.01)


def test_the_recorded_knowledge_names_four_films_too_often():
    store = RecordedStore.load()
    report = naming_report([own.expectations for own in store.users().values()], store.catalogue.shortlist)
    assert (report.users, len(report.items), report.never) == (943, 536, 24)
    assert [(item.item_id, round(item.share, 2)) for item in report.flagged] == [
        ("318", 0.31),
        ("172", 0.3),
        ("12", 0.28),
        ("64", 0.26),
    ]


def test_a_hostile_title_that_a_gullible_model_obeys_for_everybody_is_flagged(scenario):
    attempt = next(one for one in ATTEMPTS if one.place == "shortlist_title" and one.goal == "name_item")
    prompt = benign(attempt)
    told = json.loads(answer(attempt, False, prompt.messages[0]["content"]))
    fair = {**told, "likes": [str(n) for n in range(5, 15)]}
    users = [read_user(told, scenario, CATALOGUE, set(), Limits()).expectations for _ in range(30)]
    users += [read_user(fair, scenario, CATALOGUE, set(), Limits()).expectations for _ in range(70)]
    assert TARGET in {item.item_id for item in naming_report(users, CATALOGUE.shortlist).flagged}
