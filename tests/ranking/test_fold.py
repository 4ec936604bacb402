"""Folds that test everybody once, material that is computed once, and inputs that see no later second."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from knowledge.recorded import RecordedStore
from knowledge.scenario import load_scenario
from ranking import fold_cache
from ranking.collaborative import collaborative_vectors, out_of_fold
from ranking.fold import FOLDS, FoldMaterial, fold_users
from ranking.inputs import build_samples

FILMS = load_scenario("films")


def test_every_user_is_tested_once_and_never_trained_on_meanwhile(movielens):
    tested = []
    for fold in range(FOLDS):
        split = fold_users(movielens, fold)
        parts = [set(split.train), set(split.valid), set(split.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 943
        assert len(split.valid) == (943 - len(split.test)) // 10
        tested += split.test
    assert sorted(tested) == sorted(movielens.by_user())
    with pytest.raises(ValueError, match="0 to 4"):
        fold_users(movielens, FOLDS)


def test_page_blind_inputs_see_no_event_of_the_samples_own_second(movielens):
    histories = {user: [r.item_id for r in own] for user, own in movielens.by_user().items()}
    store = RecordedStore.load(histories=histories)
    users = ["4", "1", "405"]
    known = {user: store.users()[user] for user in users}
    samples = build_samples(movielens, known, store.catalogue.anchors, FILMS, 100, page_blind=True)
    rows = {item: row for row, item in enumerate(samples.items, start=1)}
    hidden = 0
    for place, user in enumerate(samples.users):
        ratings, first = movielens.by_user()[user], known[user].source_rev
        numbers = np.flatnonzero(samples.user == place)
        for number, rating in zip(numbers, ratings[first:], strict=True):
            earlier = [rows[r.item_id] for r in ratings if r.at < rating.at][-100:]
            seen = samples.ring.item[number]
            assert seen[seen > 0].tolist() == earlier[::-1]
            assert samples.since[number] == max(sum(r.at < rating.at for r in ratings) - first, 0)
            assert samples.told[number] == all(r.at < rating.at for r in ratings[:first])
            hidden += not samples.told[number]
    assert 0 < hidden < len(samples)


def test_no_users_own_ratings_are_in_the_collaborative_vectors_of_their_part(movielens):
    users = fold_users(movielens, "design").train
    parts = out_of_fold(users)
    assert sorted(user for part, _ in parts for user in part) == sorted(users)
    vocabulary = {item: index for index, item in enumerate(movielens.items, start=2)}
    part, others = parts[0]
    assert not {*part} & {*others}
    few = [rating for rating in movielens.ratings if rating.user_id in {*part[:5], *others[:40]}]
    changed = [rating._replace(value=6 - rating.value) if rating.user_id in part else rating for rating in few]
    before, after = (collaborative_vectors(ratings, others[:40], vocabulary) for ratings in (few, changed))
    assert torch.equal(before, after)
    assert not torch.equal(before, collaborative_vectors(few, part[:5], vocabulary))


def test_material_on_disk_is_the_material_that_was_written(tmp_path):
    n = 7
    material = FoldMaterial(
        "3",
        True,
        ("1", "2"),
        12,
        torch.arange(n) % 2,
        torch.arange(n),
        torch.rand(n).round(),
        torch.arange(n),
        {
            "hist_index": torch.randint(0, 12, (n, 50), dtype=torch.int32),
            "hist_value": torch.randint(0, 6, (n, 50)).float(),
            "user_mask": torch.ones(n, 4, dtype=torch.uint8),
        },
        {"experienced": torch.rand(n, 18).half()},
        torch.rand(n, 9, 16),
        torch.rand(2, 9, 16),
        np.array([0, 1]),
        np.array([2, 3]),
        np.array([4]),
    )
    path = tmp_path / "folds" / "fold.safetensors"
    fold_cache.write(path, material)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    again = fold_cache.read(path)
    assert (again.name, again.page_blind, again.users, again.vocabulary) == ("3", True, ("1", "2"), 12)
    for name in ("ids", "columns"):
        was, now = getattr(material, name), getattr(again, name)
        assert was.keys() == now.keys()
        assert all(torch.equal(was[key], now[key]) and was[key].dtype == now[key].dtype for key in was)
    for name in ("user", "item", "label", "since", "item_vec", "users_projected"):
        assert torch.equal(getattr(material, name), getattr(again, name))
    for name in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(material, name), getattr(again, name))
    assert again.user_ids(np.array([0, 3])) == ["1", "2"]


@pytest.mark.parametrize("left", [0, 7, 40, 1500])
def test_a_cached_fold_that_was_cut_off_counts_as_none(tmp_path, left):
    path = tmp_path / "fold.safetensors"
    assert fold_cache.read(path) is None
    save_file({"user": torch.arange(1000)}, path, metadata={"about": "{}"})
    path.write_bytes(path.read_bytes()[:left])
    assert fold_cache.read(path) is None


def test_a_file_of_something_else_counts_as_no_fold(tmp_path):
    path = tmp_path / "fold.safetensors"
    save_file({"user": torch.arange(3)}, path)
    assert fold_cache.read(path) is None
    save_file({"user": torch.arange(3)}, path, metadata={"about": "{}"})
    assert fold_cache.read(path) is None
