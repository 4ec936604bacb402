"""What training keeps: averaged weights of the best epoch, or of the last where nothing validates."""

import math

import numpy as np
import pytest
import torch

from encoders.hein import Hein, HeinShape
from ranking.averaging import Averaged
from ranking.fit import FitOptions, Inputs, _groups, fit, predict
from ranking.model import Ranker
from ranking.shape import RankerShape

ITEMS, SAMPLES = 12, 200


@pytest.fixture
def inputs() -> Inputs:
    """Even items are liked."""
    draw = np.random.default_rng(0)
    index = torch.from_numpy(draw.integers(2, ITEMS, (SAMPLES, 1)).astype(np.int32))
    ids = {
        "hist_index": torch.zeros(SAMPLES, 3, dtype=torch.int32),
        "hist_value": torch.zeros(SAMPLES, 3),
        "item_index": index,
        "user_mask": torch.ones(SAMPLES, 4, dtype=torch.uint8),
        "item_mask": torch.ones(SAMPLES, 1, dtype=torch.uint8),
    }
    none = torch.zeros(SAMPLES, dtype=torch.int64)
    label = (index[:, 0] % 2 == 0).float()
    return Inputs(ids, label, none, none, torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), None)


def network() -> Ranker:
    torch.manual_seed(0)
    return Ranker(RankerShape(vocabulary=ITEMS, backbone="dcnv2", knowledge=False))


def test_averages_follow_slowly_and_give_the_weights_back() -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    averaged = Averaged([weight], 0.5)
    for _ in range(20):
        weight.data += 1
        averaged.step()
    with averaged.shown():
        assert torch.all(weight < 20)
        assert torch.all(weight > 18)
    assert torch.equal(weight, torch.full((3,), 20.0))


def test_without_validation_all_epochs_are_trained_and_the_last_is_kept(inputs: Inputs) -> None:
    train, steps = np.arange(SAMPLES), []
    options = FitOptions(epochs=6, patience=1, batch=50, learning_rate=0.01)
    ranker = network()
    auc, epochs = fit(ranker, None, inputs, train, None, options, lambda done, total: steps.append((done, total)))
    assert math.isnan(auc)
    assert epochs == 6
    assert steps[-2:] == [(24, 24), (24, 24)]
    longer = network()
    fit(longer, None, inputs, train, None, FitOptions(epochs=12, patience=1, batch=50, learning_rate=0.01))
    label = inputs.label.numpy()

    def loss(trained: Ranker) -> float:
        return float(np.logaddexp(0, predict(trained, None, inputs, train) * (1 - 2 * label)).mean())

    assert loss(longer) < loss(ranker) < loss(network())


def test_early_stopping_keeps_the_best_epoch_and_not_the_last(inputs: Inputs) -> None:
    # Validation labels are turned round, so every epoch is worse than the one before.
    label = torch.cat([inputs.label, 1 - inputs.label])
    ids = {name: torch.cat([tensor, tensor]) for name, tensor in inputs.ids.items()}
    user, item = torch.cat([inputs.user] * 2), torch.cat([inputs.item] * 2)
    both = Inputs(ids, label, user, item, inputs.item_vec, inputs.users_projected, None)
    options = FitOptions(epochs=9, patience=2, batch=50, learning_rate=0.01)
    train, valid = np.arange(SAMPLES), np.arange(SAMPLES, 2 * SAMPLES)
    seen: list[int] = []
    _, epochs = fit(network(), None, both, train, valid, options, lambda done, _: seen.append(done))
    assert epochs < 9
    assert max(seen[:-1]) == (epochs + 2) * 4


def test_every_weight_learns_at_one_rate_and_experts_slowly():
    hein = Hein(HeinShape(factors=2, text_dim=4, dim=3, summary=4))
    hein.projection.requires_grad_(False)
    shape = RankerShape(vocabulary=9, factors=2, dim=3, summary=4, groups=("statistics",))
    options = FitOptions(epochs=1, learning_rate=1.0, embedding_rate=0.5, expert_rate=0.25)
    ranker = Ranker(shape)
    rates = {id(weight): group["lr"] for group in _groups(ranker, hein, options) for weight in group["params"]}
    learned = [*ranker.parameters(), *(weight for weight in hein.parameters() if weight.requires_grad)]
    assert sorted(rates) == sorted(map(id, learned))
    assert rates[id(ranker.backbone.items.weight)] == 0.5
    assert rates[id(ranker.direct.weight)] == 1.0
    assert {rates[id(weight)] for weight in hein.parameters() if weight.requires_grad} == {0.25}
