"""What rerankers read, on a small real data set: the same numbers as the click models', and no user seen before."""

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from ranking.evaluate import base_order
from ranking.evaluate.list_material import build_list_material
from ranking.evaluate.lists import LENGTH
from ranking.variants import Predictions
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
        history = extended.ids["hist_index"][torch.from_numpy(extended.test)]
        asked.append((extended, history))
        count = np.arange(len(extended.test), dtype=np.float32)
        return Predictions(count[:0], count, np.arange(0), extended.test, 1, 0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_order, "train_variant", watch)
        yield build_list_material(where.data, where.encodings, where.cache, 1, "popularity")


def test_columns_of_a_lists_first_real_item_are_those_of_its_sample(material):
    fold, lists = material.fold, material.lists
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


def test_lists_train_validate_and_test_with_their_users(material):
    parts = [set(material.lists.user[numbers]) for numbers in (material.train, material.valid, material.test)]
    samples = [set(material.fold.user.numpy()[numbers]) for numbers in
               (material.fold.train, material.fold.valid, material.fold.test)]  # fmt: skip
    assert parts == samples
    assert not parts[0] & parts[2]


def test_the_first_order_of_a_list_comes_from_a_model_that_has_not_seen_its_user(material, asked):
    scored = 0
    for extended, history in asked:
        known = len(extended.label) - len(extended.test)
        trained = set(extended.user[torch.from_numpy(extended.train)].tolist())
        tested = set(range(len(extended.users))) - trained
        tested -= set(extended.user[torch.from_numpy(extended.valid)].tolist())
        # Histories of the lists are those of samples of users who only test.
        own = torch.isin(extended.user[:known], torch.tensor(sorted(tested)))
        seen = {tuple(row) for row in extended.ids["hist_index"][:known][own].tolist()}
        assert {tuple(row) for row in history.tolist()} <= seen
        scored += len(extended.test)
    assert len(asked) == 5
    assert scored == 2 * len(material.lists.user) * LENGTH  # both kinds of lists, each item once
