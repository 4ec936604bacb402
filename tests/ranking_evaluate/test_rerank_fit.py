"""Training on lists: what it learns, what it leaves out, and when it stops."""

import numpy as np
import pytest
import torch

from ranking.backbones.parts import Dropout
from ranking.evaluate import rerank_fit
from ranking.evaluate.list_material import ListMaterial
from ranking.evaluate.lists import LENGTH, Lists, list_metrics
from ranking.evaluate.rerank_fit import ListOptions, train_lists

ITEMS = 20


@pytest.fixture
def material():
    """Lists whose liked items are those with even numbers; the first order knows nothing."""
    draw = np.random.default_rng(0)
    count = 120
    item = np.stack([draw.permutation(ITEMS)[:LENGTH] for _ in range(count)])
    label = (item % 2 == 0).astype(np.float32)
    lists = Lists(np.arange(count) // 4, np.arange(count), item, label)
    ids = {
        "hist_index": torch.randint(2, ITEMS + 2, (count, 10), dtype=torch.int32),
        "hist_value": torch.full((count, 10), 4.0),
        "user_mask": torch.ones(count, 4, dtype=torch.uint8),
        "item_index": torch.from_numpy(item).int() + 2,
        "item_mask": torch.ones(count, LENGTH, dtype=torch.uint8),
    }
    base = draw.normal(size=item.shape).astype(np.float32)
    parts = np.split(np.arange(count), [80, 100])
    return ListMaterial(lists, ids, {}, base, base, ITEMS + 2, 16, *parts)


def test_it_learns_which_items_are_liked(material, monkeypatch):
    monkeypatch.setattr(rerank_fit, "EPOCHS", 12)
    _, test, epoch = train_lists(material, "dlcm", "plain", 0, ListOptions(batch=8, rate=0.01, average=0.8))
    gain = list_metrics(material.lists.label[material.test], test)[1].mean()
    first = list_metrics(material.lists.label[material.test], material.base[material.test])[1].mean()
    assert gain > 0.95 > first + 0.1
    assert epoch >= 1


def test_the_same_seed_trains_the_same_and_leaves_torch_as_it_was(material, monkeypatch):
    monkeypatch.setattr(rerank_fit, "EPOCHS", 2)
    before = torch.get_rng_state()
    one, two = (train_lists(material, "dlcm", "plain", 3)[1] for _ in range(2))
    assert np.array_equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)


def test_lists_in_which_nothing_is_liked_do_not_train(material, monkeypatch):
    monkeypatch.setattr(rerank_fit, "EPOCHS", 1)
    expected = train_lists(material, "mir", "plain", 0)[1]
    material.lists.label[:8] = 0.0
    some = train_lists(material, "mir", "plain", 0)[1]
    without = ListMaterial(**{**material.__dict__, "train": material.train[8:]})
    assert np.array_equal(some, train_lists(without, "mir", "plain", 0)[1])
    assert not np.array_equal(some, expected)


def test_training_ends_some_epochs_after_the_best_one(material, monkeypatch):
    judged = []

    def metrics(label, score):
        judged.append(len(label))
        best = 0.5 + 0.1 * min(len(judged), 3)
        return np.full(len(label), best), np.full(len(label), best)

    monkeypatch.setattr(rerank_fit, "list_metrics", metrics)
    assert train_lists(material, "dlcm", "plain", 0, ListOptions(patience=4))[2] == 3
    assert len(judged) == 3 + 4


def test_quick_dropout_hides_its_share_and_keeps_the_mean():
    torch.manual_seed(0)
    dropout, values = Dropout(0.3), torch.ones(200, 500)
    hidden = dropout(values)
    assert float((hidden == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(hidden.mean()) == pytest.approx(1.0, abs=0.01)
    assert torch.equal(dropout.eval()(values), values)
