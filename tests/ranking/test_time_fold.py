"""The fold "time": nothing that comes later reaches a training sample, nor anything that is fitted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from knowledge.base import Expectations, ItemProfile, Knowledge, KnowledgeMode, TerminalError, UserProfile
from knowledge.catalogue import Catalogue
from knowledge.recorded import RecordedStore
from ranking import fold
from ranking.datasets.records import Dataset, Rating
from ranking.fold import build_material, fold_users
from ranking.sources import Sources, Texts
from ranking.split import history_length

USERS, ITEMS, RATINGS = 10, 30, 16
START = datetime(1998, 1, 1, tzinfo=UTC)
ANCHORS = tuple(str(item) for item in range(1, 6))


@pytest.fixture(autouse=True)
def _texts(monkeypatch):
    """Random vectors for texts: a user's depend on the text, items' on the item."""

    def encoded(rows, factors, seed):
        vectors = np.random.default_rng(seed).normal(size=(len(rows), factors, 24)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        return torch.from_numpy(vectors), torch.ones(len(rows), factors)

    def texts(sources, users, encodings):
        known = sources.store.users()
        own = [encoded([user], 9, [1, len(known[user].factors["genre"])])[0] for user in users]
        return Texts("none", encoded(sources.data.items, 9, 2), (torch.cat(own), torch.ones(len(users), 9)))

    monkeypatch.setattr(fold, "encode_texts", texts)
    monkeypatch.setattr(fold, "encode_titles", lambda sources, encodings: encoded(sources.data.items, 3, 3))


def _record(user, seen, anchors, text):
    return Knowledge(
        entity="user",
        entity_id=user,
        factors={"genre": text},
        expectations=Expectations(likes=("28",), dislikes=("29",), anchors=dict(zip(ANCHORS, anchors, strict=True))),
        mode=KnowledgeMode.RECORDED,
        model="m",
        template_version="t",
        catalogue_version="c",
        source_rev=seen,
        generated_at=START,
    )


@pytest.fixture(scope="module")
def sources():
    """User k is active on days k to k + 3; user 1 rates for as long as there are users."""
    draw = np.random.default_rng(7)
    ratings, records = [], {}
    for user in range(1, USERS + 1):
        items = draw.permutation(ITEMS)[:RATINGS] + 1
        days = np.sort(draw.uniform(0, USERS + 3 if user == 1 else 3, RATINGS)) + (0 if user == 1 else user)
        for item, day in zip(items, days, strict=True):
            at = START + timedelta(seconds=int(day * 86400))
            ratings.append(Rating(str(user), str(item), float(draw.integers(1, 6)), at))
        anchors = draw.integers(1, 6, len(ANCHORS)).astype(float)
        records[str(user)] = [_record(str(user), history_length(RATINGS), anchors, "x" * user)]
    items = {str(item): ItemProfile(item_id=str(item), title=f"film {item}") for item in range(1, ITEMS + 1)}
    users = {str(user): UserProfile(user_id=str(user)) for user in range(1, USERS + 1)}
    ratings.sort(key=lambda rating: rating.at)
    store = RecordedStore(Catalogue("c", ANCHORS, ("28", "29")), {}, records, {})
    return Sources(Dataset(tuple(ratings), users, items), store)


@pytest.fixture(scope="module")
def times(sources):
    """When each sample happened, by its number."""
    by_user = sources.data.by_user()
    return np.array([r.at.timestamp() for own in by_user.values() for r in own[history_length(len(own)) :]])


def _built(sources, **more):
    return build_material(sources, Path(), "time", dim=4, **more)


def _same(one, other, numbers, without="-"):
    """Whether the inputs of these samples are the same in both materials, to the bit."""
    rows = torch.from_numpy(numbers)
    return all(
        torch.equal(part[name][rows], getattr(other, kind)[name][rows])
        for kind in ("ids", "columns")
        for part in (getattr(one, kind),)
        for name in part
        if not name.startswith(without)
    )


def _with_ratings(sources, change):
    return replace(sources, data=replace(sources.data, ratings=tuple(map(change, sources.data.ratings))))


def test_training_samples_come_before_validation_and_those_before_the_test(sources, times):
    material = _built(sources, controls=False)
    train, valid, test = (times[numbers] for numbers in (material.train, material.valid, material.test))
    assert train.max() < valid.min() <= valid.max() < test.min()
    assert sorted([*material.train, *material.valid, *material.test]) == list(range(len(times)))
    assert len(train) / len(times) == pytest.approx(0.7, abs=0.02)
    assert len(valid) / len(times) == pytest.approx(0.1, abs=0.02)
    assert material.name == "time"
    # As in MovieLens most who are tested are new, and somebody is not.
    trained, tested = ({*material.user_ids(numbers)} for numbers in (material.train, material.test))
    assert "1" in trained & tested
    assert len(tested - trained) > len(tested) / 2


@pytest.mark.parametrize("page_blind", [False, True])
def test_later_ratings_of_others_change_no_input_of_anybody(sources, times, page_blind):
    before = _built(sources, page_blind=page_blind)
    first = times[before.valid].min()
    for user in ("1", "9"):

        def change(rating, user=user):
            if rating.user_id == user or rating.at.timestamp() < first:
                return rating
            return rating._replace(value=6 - rating.value, item_id=str(ITEMS + 1 - int(rating.item_id)))

        changed = _with_ratings(sources, change)
        after = _built(changed, page_blind=page_blind)
        assert sum(a != b for a, b in zip(sources.data.ratings, changed.data.ratings, strict=True)) > 20
        own = np.flatnonzero(before.user.numpy() == before.users.index(user))
        # The control lends a late user another late user's expectations, chosen by the ratings of both.
        assert _same(before, after, own, without="control_")
        assert _same(before, after, before.train)
        assert not _same(before, after, before.test)
        assert before.vocabulary == after.vocabulary
        assert torch.equal(before.users_projected, after.users_projected)
        assert torch.equal(before.item_vec, after.item_vec)


def test_earlier_ratings_of_others_are_fitted_on(sources, times):
    before = _built(sources, controls=False)
    first = times[before.valid].min()

    def change(rating):
        early = rating.user_id != "9" and rating.at.timestamp() < first
        return rating._replace(value=6 - rating.value) if early else rating

    after = _built(_with_ratings(sources, change), controls=False)
    own = np.flatnonzero(before.user.numpy() == before.users.index("9"))
    assert not _same(before, after, own)


def test_knowledge_of_users_who_came_later_is_fitted_on_by_nobody(sources, times):
    before = _built(sources)
    first = times[before.valid].min()
    by_user = sources.data.by_user()
    seen = history_length(RATINGS)
    late = [user for user, own in by_user.items() if own[seen - 1].at.timestamp() >= first]
    early = [user for user in by_user if user not in late and user != "1"]
    assert late
    assert early

    def told(users):
        records = {user: [record] for user, record in sources.store.users().items()}
        records |= {user: [_record(user, seen, (5.0, 5.0, 1.0, 5.0, 5.0), "y" * 40)] for user in users}
        return replace(sources, store=RecordedStore(sources.store.catalogue, {}, records, {}))

    rows = [before.users.index(user) for user in before.users if user not in late]
    after = _built(told(late))
    assert _same(before, after, before.train)
    assert torch.equal(before.users_projected[rows], after.users_projected[rows])
    other = _built(told(early))
    own = np.flatnonzero(before.user.numpy() == 0)  # user 1, whose knowledge is what it was
    assert not torch.equal(before.columns["anchors_level"][own], other.columns["anchors_level"][own])
    assert not torch.equal(before.users_projected[0], other.users_projected[0])


def test_ratings_of_one_moment_are_refused(sources):
    with pytest.raises(TerminalError, match="cannot be cut by time"):
        _built(_with_ratings(sources, lambda rating: rating._replace(at=START)))
    with pytest.raises(ValueError, match="no users"):
        fold_users(sources.data, "time")
