"""Masks that hide what they name and nothing else, and views that change no training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ranking.evaluate.masks import PARTS, masked, without
from ranking.evaluate.robust_views import View, extended, shown
from ranking.fit import FitOptions
from ranking.fold import FoldMaterial
from ranking.variants import train_variant

SAMPLES, USERS, ITEMS, HISTORY = 240, 12, 30, 50


@pytest.fixture(scope="module")
def material():
    torch.manual_seed(0)
    user, item = torch.arange(SAMPLES) % USERS, torch.randint(1, ITEMS, (SAMPLES,))
    index = torch.randint(2, ITEMS, (SAMPLES, HISTORY), dtype=torch.int32)
    ids = {
        "hist_index": index,
        "hist_value": torch.randint(1, 6, (SAMPLES, HISTORY)).float(),
        "item_index": (item + 1).to(torch.int32).unsqueeze(1),
        "user_mask": torch.ones(SAMPLES, 4, dtype=torch.uint8),
        "item_mask": torch.ones(SAMPLES, 1, dtype=torch.uint8),
    }
    numbers = [np.flatnonzero(user.numpy() % 4 == place) for place in range(4)]
    return FoldMaterial(
        "0",
        False,
        tuple(map(str, range(USERS))),
        ITEMS + 2,
        user,
        item,
        torch.rand(SAMPLES).round(),
        torch.arange(SAMPLES),
        ids,
        {"statistics": torch.rand(SAMPLES, 4).half()},
        torch.rand(ITEMS, 9, 16),
        torch.rand(USERS, 9, 16),
        np.concatenate(numbers[:2]),
        *numbers[2:],
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_mask_hides_its_part_and_leaves_the_others(material, part):
    before = {name: tensor.clone() for name, tensor in material.ids.items()}
    hidden = masked(material.ids, part)
    changed = {name for name in before if not torch.equal(hidden[name], before[name])}
    assert changed == {{"id": "item_index", "item": "item_mask"}.get(part, "user_mask")}
    places = {"expectations": [2], "history": [0], "events": [0, 1]}.get(part, [])
    assert hidden["user_mask"][:, places].sum() == 0
    assert hidden["user_mask"].sum() == SAMPLES * (4 - len(places))
    if part == "id":
        assert set(hidden["item_index"].flatten().tolist()) == {1}
    assert all(torch.equal(material.ids[name], tensor) for name, tensor in before.items())


def test_an_unknown_part_is_refused(material):
    with pytest.raises(ValueError, match="no part 'soul'"):
        masked(material.ids, "soul")


def test_a_world_without_a_part_has_it_in_no_sample(material):
    assert without(material, "history").ids["user_mask"][:, 0].sum() == 0
    assert material.ids["user_mask"][:, 0].sum() == SAMPLES


def test_views_are_scored_by_the_same_network_and_change_no_training(material):
    torch.set_num_threads(1)
    test = {name: tensor[material.test] for name, tensor in material.ids.items()}
    other = {"statistics": material.columns["statistics"][material.test] + 1}
    views = [View("same", test), View("history", masked(test, "history")), View("columns", test, other)]
    seen = shown(extended(material, views), SAMPLES, [2, 0, 1])
    options = FitOptions(epochs=1, batch=32)
    plain = train_variant(material, "dcnv2", "strong", 0, options=options)
    answers = train_variant(seen, "dcnv2", "strong", 0, options=options).test.reshape(4, -1)
    np.testing.assert_array_equal(answers[0], plain.test)
    np.testing.assert_array_equal(answers[2], plain.test)
    assert np.abs(answers[1] - plain.test).min() > 0
    assert np.abs(answers[3] - plain.test).max() > 0
    never = train_variant(without(material, "history"), "dcnv2", "strong", 0, options=options)
    changed = replace(material, columns={"statistics": torch.rand(SAMPLES, 4).half()})
    again = train_variant(without(changed, "history"), "dcnv2", "strong", 0, options=options)
    np.testing.assert_allclose(never.test, again.test, atol=1e-6)  # statistics are part of the history
