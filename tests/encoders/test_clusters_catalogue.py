"""Anchors, shortlist, and items found for one user."""

import numpy as np
import pytest

from encoders.catalogue_build import CatalogueItem, build_catalogue
from encoders.retrieval import Retriever
from knowledge.base import TerminalError
from knowledge.catalogue import load_catalogue

GROUPS, EACH = 8, 30


def grouped():
    """240 items in eight clear groups; item 30 g + i of group g was touched 100 - i times."""
    draw = np.random.default_rng(0)
    vectors = np.repeat(np.eye(GROUPS, 12), EACH, axis=0) + 0.02 * draw.standard_normal((GROUPS * EACH, 12))
    items = [CatalogueItem(f"i{n}", 100 - n % EACH) for n in range(GROUPS * EACH)]
    return items, vectors.astype(np.float32)


def build(items, vectors, **named):
    return build_catalogue(items, vectors, **{"name": "test", "anchors": GROUPS, "shortlist": 40, **named})


def test_anchors_are_the_most_touched_item_of_each_group():
    catalogue = build(*grouped())
    assert set(catalogue.anchors) == {f"i{EACH * n}" for n in range(GROUPS)}


def test_the_shortlist_takes_the_best_known_of_every_group_and_holds_the_anchors():
    catalogue = build(*grouped())
    assert set(catalogue.shortlist) == {f"i{EACH * group + place}" for group in range(GROUPS) for place in range(5)}


def test_a_title_that_nobody_reviewed_or_knows_is_never_named():
    items, vectors = grouped()
    items[0] = CatalogueItem("i0", 1000, reviewed=False)
    items[30] = CatalogueItem("i30", 4)
    catalogue = build(items, vectors, shortlist=200)
    assert not {"i0", "i30"} & {*catalogue.anchors, *catalogue.shortlist}
    with pytest.raises(TerminalError) as caught:
        build([CatalogueItem(item.item_id, 9, reviewed=False) for item in items], vectors)
    assert caught.value.reason == "catalogue_too_small"


def test_a_place_in_the_shortlist_says_nothing_about_fame_and_follows_the_seed():
    items, vectors = grouped()
    one, again, other = (build(items, vectors, shortlist=200, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one.shortlist != other.shortlist
    touches = {item.item_id: item.touches for item in items}
    places = np.arange(200)
    assert abs(np.corrcoef(places, [touches[i] for i in one.shortlist])[0, 1]) < 0.2


def test_a_built_catalogue_survives_the_disk_with_how_it_was_made(tmp_path):
    catalogue = build(*grouped(), seed=3, representation="title_genres|x")
    catalogue.write(tmp_path / "catalogue.json")
    again = load_catalogue(tmp_path / "catalogue.json")
    assert again == catalogue
    assert (again.made["seed"], again.made["representation"]) == (3, "title_genres|x")


@pytest.fixture
def retriever():
    """Items a0.. along axis 0, b0.. along axis 1, c0.. along axis 2, 20 each; the c items came last."""
    draw = np.random.default_rng(0)
    vectors = np.repeat(np.eye(3, 6), 20, axis=0) + 0.05 * draw.standard_normal((60, 6))
    ids = [f"{letter}{n}" for letter in "abc" for n in range(20)]
    first_seen = np.repeat([0.0, 0.0, 9.0], 20)
    return Retriever(ids, vectors.reshape(60, 3, 2).astype(np.float32), np.full(60, 7), first_seen)


def person(liked, disliked):
    return np.stack([np.eye(6)[liked], np.eye(6)[disliked]]).reshape(1, 2, 3, 2).astype(np.float32)


def test_near_far_and_fresh_items_are_found(retriever):
    found = retriever.find(person(0, 1), [set()], near=5, far=4, fresh=3)[0]
    letters = sorted(item[0] for item in found)
    assert letters == ["a"] * 5 + ["b"] * 4 + ["c"] * 3
    assert len(set(found)) == 12


def test_what_the_user_has_touched_is_not_found(retriever):
    touched = {f"a{n}" for n in range(18)} | {"gone"}
    found = retriever.find(person(0, 1), [touched], near=2, far=0, fresh=0)[0]
    assert sorted(found) == ["a18", "a19"]


def test_somebody_of_whom_nothing_is_known_gets_what_is_fresh(retriever):
    found = retriever.find(np.zeros((1, 2, 3, 2), dtype=np.float32), [()])[0]
    assert len(found) == 15
    assert {item[0] for item in found} == {"c"}


def test_users_found_for_together_get_what_each_gets_alone(retriever):
    both = np.concatenate([person(0, 1), person(1, 0)])
    assert retriever.find(both, [{"a1"}, {"b1"}]) == [
        *retriever.find(both[:1], [{"a1"}]),
        *retriever.find(both[1:], [{"b1"}]),
    ]
