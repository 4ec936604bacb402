"""What rerankers read, on a small real data set: the same numbers as the click models', and no user seen before."""

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from ranking.evaluate import base_order, list_columns
from ranking.evaluate.list_material import build_list_material
from ranking.evaluate.lists import LENGTH
from ranking.evaluate.rerank import VARIANTS as RERANKED
from ranking.fold import build_fold
from ranking.variants import VARIANTS, Predictions
from reki.evaluate.places import places

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads that wait for each other beside other processes take many times as long as one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def asked():
    """What the first order's models were asked for: (training users, users of the lists) of each fold."""
    return []


@pytest.fixture(scope="module")
def material(quick_out, asked):
    where = places("ml-100k", quick_out, quick=True)

    def watch(extended, backbone, variant, seed):
        asked.append((extended, len(asked)))
        # The number of the training tells later which one scored a list.
        count = np.full(len(extended.test), len(asked) - 1, dtype=np.float32)
        return Predictions(count[:0], count, np.arange(0), extended.test, 1, 0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_order, "train_variant", watch)
        yield build_list_material(where.data, where.encodings, where.cache, 1, "popularity")


def test_columns_of_a_lists_first_real_item_are_those_of_its_sample(material, quick_out):
    where = places("ml-100k", quick_out, quick=True)
    fold, lists = build_fold(where.data, where.encodings, where.cache, 1), material.lists
    first = fold.item.numpy()[lists.sample]
    place = (lists.item == first[:, None]).argmax(1)
    numbers = np.arange(len(first))
    assert (lists.item[numbers, place] == first).all()
    assert (fold.user.numpy()[lists.sample] == lists.user).all()
    for name, columns in material.columns.items():
        expected = fold.columns[name][torch.from_numpy(lists.sample)].float()
        torch.testing.assert_close(columns[numbers, place].float(), expected, atol=4e-3, rtol=4e-3, msg=name)
    index = material.ids["item_index"][numbers, place]
    assert torch.equal(index, fold.ids["item_index"][torch.from_numpy(lists.sample), 0])
    assert material.vocabulary == fold.vocabulary
    parts = [set(lists.user[numbers]) for numbers in (material.train, material.valid, material.test)]
    samples = [set(fold.user.numpy()[numbers]) for numbers in (fold.train, fold.valid, fold.test)]
    assert parts == samples
    assert not parts[0] & parts[2]


def test_every_column_that_a_variant_reads_is_there(material):
    read = {source for name in RERANKED for source in VARIANTS[name].groups.values()}
    assert read <= set(material.columns)


def test_no_list_is_scored_by_a_model_that_has_seen_its_user_or_a_test_user(material, asked):
    """`base` holds the number of the training that scored a list, for fold 1."""
    tested = {int(user) for user in material.lists.user[material.test]}
    assert len(asked) == 15
    for user, training in zip(material.lists.user, material.base[:, 0].astype(int), strict=True):
        extended = asked[training][0]
        known = extended.user[torch.from_numpy(np.concatenate([extended.train, extended.valid]))]
        seen = {int(row) for row in known}
        assert int(user) not in seen
        assert not tested & seen
    scored = sum(len(extended.test) for extended, _ in asked)
    # Both kinds of lists, each item for each of five folds.
    assert scored == 2 * 5 * len(material.lists.user) * LENGTH


def test_columns_are_kept_between_processes(material, quick_out, monkeypatch):
    where = places("ml-100k", quick_out, quick=True)
    monkeypatch.setattr(list_columns, "_columns", None)  # calling it would fail
    again = build_list_material(where.data, where.encodings, where.cache, 1, "popularity")
    assert all(torch.equal(again.columns[name], tensor) for name, tensor in material.columns.items())
