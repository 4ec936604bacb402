"""Every variant trains on its own inputs only, repeatably."""

import numpy as np
import pytest
import torch

from ranking.fit import FitOptions
from ranking.fold import FoldMaterial
from ranking.head import widths
from ranking.variants import VARIANTS, train_variant

N, ITEMS, USERS = 600, 40, 12
SHORT = FitOptions(epochs=1, batch=128)


@pytest.fixture(scope="module")
def material():
    """Samples whose label is mostly in one column of the expectations."""
    torch.manual_seed(0)
    label = (torch.rand(N) > 0.5).float()
    columns = {name: torch.randn(N, width).half() for name, width in widths(9).items()}
    columns |= {f"control_{name}": torch.randn_like(columns[name]) for name in columns}
    columns |= {f"title_{name}": torch.randn(N, width).half() for name, width in widths(3).items()}
    columns["anchors_level"] = (label.unsqueeze(1) * 2 - 1 + 0.3 * torch.randn(N, 1)).half()
    index = torch.randint(2, ITEMS + 2, (N, 1), dtype=torch.int32)
    ids = {
        "hist_index": torch.randint(0, ITEMS + 2, (N, 50), dtype=torch.int32),
        "hist_value": torch.randint(1, 6, (N, 50)).float(),
        "item_index": index,
        "user_mask": torch.ones(N, 4, dtype=torch.uint8),
        "item_mask": torch.ones(N, 1, dtype=torch.uint8),
    }
    numbers = np.arange(N)
    return FoldMaterial(
        "0",
        False,
        tuple(str(user) for user in range(USERS)),
        ITEMS + 2,
        torch.arange(N) % USERS,
        index[:, 0].long() - 1,
        label,
        torch.zeros(N, dtype=torch.int64),
        ids,
        columns,
        torch.randn(ITEMS + 1, 9, 16),
        torch.randn(USERS, 9, 16),
        numbers[:400],
        numbers[400:500],
        numbers[500:],
    )


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "head_only"])
def test_each_variant_trains_to_finite_logits(material, variant):
    made = train_variant(material, "din", variant, 0, options=SHORT)
    assert made.valid.shape == (100,)
    assert made.test.shape == (100,)
    assert made.test.dtype == np.float32
    assert np.isfinite([*made.valid, *made.test]).all()
    assert (made.valid_numbers.tolist(), made.epochs) == (material.valid.tolist(), 1)


def test_the_same_seed_gives_the_same_logits_and_another_one_others(material):
    first, second, other = (train_variant(material, "din", "ours", seed, options=SHORT) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.test, second.test)
    assert not np.array_equal(first.test, other.test)


@pytest.mark.parametrize("model", ["logistic", "trees"])
def test_a_head_without_backbone_finds_what_its_columns_say(material, model):
    made = train_variant(material, model, "head_only", 0)
    label = material.label[torch.from_numpy(material.test)].numpy()
    assert ((made.test > 0) == label).mean() > 0.9


@pytest.mark.parametrize("model", ["din", "logistic", "trees"])
def test_knowledge_that_may_not_be_used_is_not_read(material, model):
    from dataclasses import replace

    mask = material.ids["user_mask"].clone()
    mask[500:, 2:] = 0
    name = "ours" if model == "din" else "head_only"
    blind = replace(material, ids=dict(material.ids) | {"user_mask": mask})
    changed = {name: columns.clone() for name, columns in material.columns.items()}
    for group in ("expected", "anchors_level", "anchors_knowledge", "anchors_collaborative", "anchors_itself", "since"):
        changed[group][500:] = 9.0
    made = [train_variant(m, model, name, 0, options=SHORT) for m in (blind, replace(blind, columns=changed))]
    np.testing.assert_array_equal(made[0].test, made[1].test)


def test_material_of_the_wrong_kind_is_refused(material):
    with pytest.raises(ValueError, match="not page-blind"):
        train_variant(material, "din", "plain", 0, page_blind=True)
