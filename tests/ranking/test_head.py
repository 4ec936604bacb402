"""The head against its formulas worked out for one user and one candidate at a time, whatever is hidden or missing."""

import numpy as np
import pytest
import torch

from ranking.head import MatchingHead, widths
from ranking.shape import FIRST_GROUPS, RankerShape
from ranking.variants import VARIANTS
from tests.ranking.head_by_hand import ByHand

F, D, H, A, V, R = 3, 4, 9, 5, 30, 6
USERS, COUNT = 5, 4
ALL = tuple(widths(F))


def drawn_head(groups, collaborative=R):
    shape = RankerShape(vocabulary=V, factors=F, dim=D, anchors=A, groups=groups, collaborative=collaborative)
    head = MatchingHead(shape)
    for name, table in head.state_dict().items():
        if table.is_floating_point() and name != "scale":
            table.copy_(torch.randn_like(table) / 2)
    head.anchor_means.fill_(3.2)
    head.anchor_index.copy_(torch.tensor([2, 5, -1, 8, 11]))  # -1: an anchor outside the vocabulary
    if collaborative:
        for name in ("collaborative", "taste", "items"):
            head.get_buffer(name)[[0, 1, 4]] = 0  # padding, unknown, and an item that no training user rated
    return head


def drawn_batch():
    """Users with histories of 0 to H entries, with gaps; unknown items; items and expectations without vectors."""
    index = torch.randint(1, V, (USERS, H), dtype=torch.int32)
    index *= torch.arange(H) < torch.tensor([0, 1, 4, H, H]).unsqueeze(1)
    index[4, ::2] = 0
    vec = torch.randn(USERS, H, F, D) * (torch.rand(USERS, H, 1, 1) > 0.2)
    expected = torch.randn(USERS, 2, F, D)
    expected[1] = 0
    expected[2, 1] = 0
    item = torch.randint(0, V, (USERS, COUNT), dtype=torch.int32)
    item[:, 0], item[:, 1] = 1, 5  # unknown; an anchor
    item_vec = torch.randn(USERS, COUNT, F, D)
    item_vec[:, 2] = 0
    return {
        "user_stats": torch.rand(USERS, 5),
        "user_experienced": torch.randn(USERS, 2, F, D) * torch.tensor([0, 1, 1, 1, 1]).reshape(-1, 1, 1, 1),
        "user_expected": expected,
        "user_anchors": torch.randint(0, 6, (USERS, A)).float() * torch.tensor([1, 0, 1, 1, 1]).unsqueeze(1),
        "user_mask": torch.randint(0, 2, (USERS, 4), dtype=torch.uint8),
        "hist_index": index,
        "hist_value": torch.randint(1, 6, (USERS, H)).float() * (index > 0),
        "hist_vec": vec * (index > 0)[..., None, None],
        "item_index": item,
        "item_vec": item_vec,
        "item_mask": torch.randint(0, 2, (USERS, COUNT), dtype=torch.uint8),
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("groups", [ALL, tuple(VARIANTS["ours"].groups), FIRST_GROUPS])
def test_columns_are_those_of_the_formulas(groups, seed):
    torch.manual_seed(seed)
    head, batch = drawn_head(groups, 0 if groups == FIRST_GROUPS else R), drawn_batch()
    columns = head.columns(batch, groups)
    assert tuple(columns) == groups
    for user in range(USERS):
        for place in range(COUNT):
            wanted = ByHand(head, batch, user, place).columns()
            for name in groups:
                own = columns[name][user, place]
                assert len(own) == widths(F)[name]
                np.testing.assert_allclose(own, wanted[name], atol=1e-4, rtol=1e-4, err_msg=f"{name} {user} {place}")


@pytest.mark.parametrize("name", ALL)
def test_a_group_alone_is_what_it_is_among_all(name):
    torch.manual_seed(3)
    head, batch = drawn_head(ALL), drawn_batch()
    together, alone = head.columns(batch, ALL), head.columns(batch, (name,))
    torch.testing.assert_close(alone[name], together[name], atol=1e-5, rtol=1e-5)


# Parts that must be there, in words of their own: history, experienced, expected; vector and id of the item.
NEEDS = {
    "experienced": "x v",
    "expected": "e v",
    "neighbourhood": "h v",
    "experienced_mean": "x v",
    "neighbourhood_mean": "h v",
    "anchors_level": "e",
    "anchors_knowledge": "e v",
    "anchors_collaborative": "e i",
    "anchors_itself": "e i",
    "statistics": "h",
    "since": "e",
    "collaborative": "h i",
    "items": "i",
    "level": "h",
    "taste_knowledge": "h v",
    "taste_collaborative": "h i",
    "taste": "h v i",
    "anchored_knowledge": "h e v",
    "anchored": "h e v i",
}


def test_columns_are_zero_without_what_they_need_and_standardised_with_it():
    torch.manual_seed(4)
    head, batch = drawn_head(ALL), drawn_batch()
    head.scale.uniform_(0.5, 2.0)
    made, raw = head(batch), head.features(batch)
    user, item = batch["user_mask"].bool(), batch["item_mask"].bool()
    for row in range(USERS):
        for place in range(COUNT):
            there = {"h": user[row, 0], "x": user[row, 1], "e": user[row, 2], "v": item[row, place]}
            there["i"] = batch["item_index"][row, place] > 1
            shown = [all(there[part] for part in NEEDS[name].split()) for name in ALL for _ in range(widths(F)[name])]
            standard = ((raw[row, place] - head.mean) / head.scale).clamp(-5, 5)
            wanted = [*(standard * torch.tensor(shown)).tolist(), *user[row].tolist(), item[row, place].item()]
            torch.testing.assert_close(made[row, place], torch.tensor(wanted).float(), atol=1e-5, rtol=1e-5)
    assert {bool(one) for one in user.flatten()} == {bool(one) for one in item.flatten()} == {True, False}


def test_tables_that_change_are_read_anew():
    torch.manual_seed(5)
    head, batch = drawn_head(ALL), drawn_batch()
    before = head.columns(batch, ALL)
    for name in ("anchor_vec", "taste", "items", "collaborative", "anchor_likeness", "told_taste"):
        head.get_buffer(name).mul_(1.5)
    after = head.columns(batch, ALL)
    for name in ("anchors_knowledge", "anchored", "taste", "level", "items", "collaborative"):
        assert not torch.allclose(before[name], after[name]), name


def test_one_users_numbers_that_are_not_finite_are_nobody_elses():
    torch.manual_seed(6)
    head, batch = drawn_head(ALL), drawn_batch()
    before = head.features(batch)
    batch["hist_value"][3, 0] = torch.nan
    after = head.features(batch)
    others = [0, 1, 2, 4]
    torch.testing.assert_close(after[others], before[others])
    assert not torch.isfinite(after[3]).all()
