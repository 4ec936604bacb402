"""Shares that were counted by hand, groups that the data's README names, and correlations that are known."""

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import numpy as np
import pytest

from knowledge.base import Expectations, ItemProfile, Knowledge, KnowledgeMode, UserProfile
from knowledge.catalogue import Catalogue
from knowledge.recorded import RecordedStore
from ranking.datasets.records import Dataset, Rating
from ranking.evaluate.contamination import GLIMPSED, VAGUE, contamination, listed
from ranking.evaluate.contamination_report import files as report
from ranking.sources import Sources

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
USERS = [str(number) for number in range(1, 11)]
ITEMS = [str(number) for number in range(1, 21)]


@pytest.fixture(scope="module")
def sources():
    """Ten users. Each first rates items 1 and 2, then 3 (5 stars), 4 (1 star) and, in even users, 5 (2 stars).

    The LLM expects each to like 3 and 5, and to dislike 4. Anchors are 3 and 4: it says what came, for even users.
    """
    ratings, records = [], {}
    for number, user in enumerate(USERS, start=1):
        given = [("1", 4.0), ("2", 2.0), ("3", 5.0), ("4", 1.0), *([("5", 2.0)] if number % 2 == 0 else [])]
        given[2] = ("3", 5.0 if number % 4 < 2 else 4.0)
        ratings += [Rating(user, item, value, BEGIN + timedelta(hours=at)) for at, (item, value) in enumerate(given)]
        right = number % 2 == 0
        anchors = {"3": given[2][1] if right else 3.0, "4": 1.0 if right else 5.0}
        records[user] = [
            Knowledge(
                entity="user",
                entity_id=user,
                factors={},
                expectations=Expectations(likes=("3", "5"), dislikes=("4",), anchors=anchors),
                source_rev=2,
                mode=KnowledgeMode.RECORDED,
                model="m",
                template_version="1",
                catalogue_version="1",
                generated_at=BEGIN,
            )
        ]
    data = Dataset(
        tuple(sorted(ratings, key=lambda rating: rating.at)),
        {user: UserProfile(user_id=user) for user in USERS},
        {item: ItemProfile(item_id=item, title=f"Film {item}") for item in ITEMS},
    )
    store = RecordedStore(Catalogue("1", ("3", "4"), tuple(ITEMS)), {}, records, dict.fromkeys(USERS, 2))
    return Sources(data, store)


@pytest.fixture(scope="module")
def page(sources):
    return contamination(sources)


def test_the_users_are_those_whom_the_readme_names():
    text = (files("knowledge") / "data" / "ml-100k" / "README.md").read_text(encoding="utf-8")
    named = re.search(r"vague ones for the users ([\d, ]+):", text)
    assert named is not None
    assert tuple(named[1].split(", ")) == VAGUE
    assert "users 2, 11 and 42 and some of 5, 15 and 16" in text
    assert GLIMPSED == ("2", "11", "42", "5", "15", "16")


def test_what_was_named_rated_and_true_is_counted_by_hand(sources):
    lists = listed(sources)
    likes, dislikes = lists["likes", "expected"], lists["dislikes", "expected"]
    assert (~np.isnan(likes.rated)).sum() == 20
    assert np.nansum(likes.rated) == 15  # everybody rated 3, even users rated 5
    assert np.nansum(likes.true) == 10  # 3 was liked, 5 was not
    assert np.nansum(dislikes.rated) == np.nansum(dislikes.true) == 10
    # The two most popular untouched films of each fold's eight training users are 3 and 4: one of them is liked.
    popular = lists["likes", "popular"]
    assert np.nansum(popular.rated) == 20
    assert np.nansum(popular.true) == 10
    assert np.nansum(lists["dislikes", "by_mean"].true) == 10  # 4 has the lowest mean
    matched = lists["likes", "as_popular"]
    assert (~np.isnan(matched.rated)).sum() == 200
    assert len(np.unique(matched.user)) == 10


def test_the_page_has_intervals_groups_and_no_numbers_from_nothing(page):
    row = page["likes"]["all"]["expected"]
    assert (row["named"], row["rated"]) == (20, 15)
    assert row["share_rated"][1] == 0.75
    assert row["precision"][1] == pytest.approx(2 / 3, abs=1e-5)
    assert row["precision"][0] <= row["precision"][1] <= row["precision"][2]
    assert page["likes"]["all"]["popular"]["expected_minus"]["precision"][1] == pytest.approx(1 / 6, abs=1e-4)
    assert page["users"] == {"all": 10, "vague": 1, "as_active": 4, "glimpsed": 2, "others": 7}
    files_made = report({"dataset": "toy", "commit": "abc", **page})
    assert "nan" not in files_made["contamination.json"].lower()
    assert "| all users (10) | the LLM | 20 | 15 | 75.0 %" in files_made["contamination.md"]
    assert {"contamination-likes.svg", "contamination-dislikes.svg"} <= files_made.keys()


def test_agreement_with_means_and_with_persons_is_told_apart(sources, page):
    agreement = page["agreement"]
    # Two anchors: the one that is liked more is also told higher.
    assert agreement["means"]["pearson"][1] == pytest.approx(1.0)
    assert agreement["personal"]["all"]["pairs"] == 20
    said = np.array([[a["3"], a["4"]] for a in (sources.store.users()[u].expectations.anchors for u in USERS)])
    came = np.array([[5.0 if n % 4 < 2 else 4.0, 1.0] for n in range(1, 11)])
    wanted = np.corrcoef((said - said.mean(0)).ravel(), (came - came.mean(0)).ravel())[0, 1]
    assert agreement["personal"]["all"]["pearson"][1] == pytest.approx(wanted, abs=1e-4)
