"""What every reranker has to keep, whatever it computes."""

from dataclasses import replace

import pytest
import torch
from backbone_parts import SHAPE, a_batch, a_model

from ranking.rerankers import LOSSES, READS, RERANKERS
from ranking.rerankers.parts import FAR

STEPS = 80
EVERY = pytest.mark.parametrize("name", list(RERANKERS))


def lists(users=3, length=6):
    batch = a_batch(users, length)
    batch["item_index"] = torch.stack([torch.randperm(28)[:length] + 2 for _ in range(users)]).int()
    return {**batch, "base_score": torch.randn(users, length)}


def reordered(batch, order):
    per_item = ("item_index", "base_score")
    return {**batch, **{key: batch[key].gather(1, order) for key in per_item}}


@EVERY
def test_it_reads_its_declared_tensors_alone(name):
    batch = lists()
    assert set(batch) == set(READS)
    scores = a_model(RERANKERS[name])(batch, None)
    assert scores.shape == (3, 6)
    assert torch.isfinite(scores).all()


@EVERY
def test_the_order_in_which_a_list_is_handed_over_changes_no_score(name):
    model, batch, beside = a_model(RERANKERS[name], fields=8), lists(), torch.randn(3, 6, 8)
    order = torch.stack([torch.randperm(6) for _ in range(3)])
    moved = model(reordered(batch, order), beside.gather(1, order.unsqueeze(-1).expand(-1, -1, 8)))
    torch.testing.assert_close(moved, model(batch, beside).gather(1, order), atol=1e-4, rtol=1e-4)


@EVERY
def test_an_items_score_depends_on_its_neighbours(name):
    model, batch = a_model(RERANKERS[name]), lists()
    before = model(batch, None)
    batch["item_index"][:, 1] = (batch["item_index"][:, 1] + 5) % 28 + 2
    assert ((model(batch, None) - before)[:, 0].abs() > 1e-6).all()


@EVERY
def test_the_scale_of_the_initial_scores_changes_nothing_but_their_order_does(name):
    model, batch = a_model(RERANKERS[name]), lists()
    before = model(batch, None)
    scaled = {**batch, "base_score": 20 * batch["base_score"] + 3}
    torch.testing.assert_close(model(scaled, None), before, atol=1e-3, rtol=1e-3)
    turned = {**batch, "base_score": -batch["base_score"]}
    assert not torch.allclose(model(turned, None), before)


@EVERY
def test_a_short_list_filled_up_scores_as_without_the_fill(name):
    model, batch, beside = a_model(RERANKERS[name], fields=8), lists(), torch.randn(3, 6, 8)
    short = {**batch, "item_index": batch["item_index"][:, :4], "base_score": batch["base_score"][:, :4]}
    batch["item_index"][:, 4:] = 0
    batch["base_score"][:, 4:] = 99.0
    filled = model(batch, beside)
    torch.testing.assert_close(filled[:, :4], model(short, beside[:, :4]), atol=1e-4, rtol=1e-4)
    assert (filled[:, 4:] == FAR).all()


@EVERY
def test_an_empty_list_and_equal_initial_scores_give_finite_numbers_and_gradients(name):
    model, batch = a_model(RERANKERS[name]).train(), lists()
    batch["item_index"][0] = 0
    batch["base_score"][1] = 2.0
    listed = batch["item_index"] > 0
    scores = model(batch, None)
    assert torch.isfinite(scores).all()
    LOSSES[name](scores, torch.zeros(3, 6), listed).backward()
    assert all(torch.isfinite(w.grad).all() for w in model.parameters() if w.grad is not None)


@EVERY
def test_a_hidden_history_is_as_if_the_user_had_none(name):
    model, batch = a_model(RERANKERS[name]), lists()
    none = model({**batch, "hist_index": torch.zeros_like(batch["hist_index"])}, None)
    batch["user_mask"][:, 0] = 0
    torch.testing.assert_close(model(batch, None), none)


@EVERY
def test_knowledge_beside_the_ids_reaches_the_scores_and_history_too(name):
    model, batch, beside = a_model(RERANKERS[name], fields=8), lists(), torch.randn(3, 6, 8)
    before = model(batch, beside)
    changed = beside.clone()
    changed[:, 0] += 1
    assert not torch.allclose(model(batch, changed), before)
    other = {**batch, "hist_value": 6 - batch["hist_value"]}
    assert not torch.allclose(model(other, beside)[0], before[0])


@EVERY
def test_every_weight_is_trained(name):
    model, batch = a_model(RERANKERS[name], fields=6).train(), lists(length=6)
    labels = torch.zeros(3, 6)
    labels[:, :2] = 1
    LOSSES[name](model(batch, torch.randn(3, 6, 6)), labels, batch["item_index"] > 0).backward()
    idle = [key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    # A constant added to every key's score, or to every score of a list, cancels in the softmax.
    assert not [key for key in idle if not key.endswith(("key.bias", "out.bias", "out.3.bias"))]


@pytest.mark.slow
@EVERY
def test_it_learns_to_turn_the_initial_order_round_for_items_of_the_liked_kind(name):
    torch.manual_seed(0)
    users, length = 128, 6
    kind = torch.randint(0, 2, (users, 1))
    item_kind = torch.arange(length).expand(users, -1) % 2
    batch = {
        "item_index": (2 + 2 * torch.randint(0, 8, (users, length)) + item_kind).int(),
        "hist_index": (2 + 2 * torch.randint(0, 8, (users, 5)) + kind).int(),
        "hist_value": torch.full((users, 5), 5.0),
        "user_mask": torch.ones(users, 4, dtype=torch.uint8),
        "base_score": torch.randn(users, length),
    }
    labels = (item_kind == kind).float()
    model = RERANKERS[name](replace(SHAPE, hidden=(16, 16)), 0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    listed = batch["item_index"] > 0
    for _ in range(STEPS):
        scores = model(batch, None)
        optimizer.zero_grad()
        LOSSES[name](scores, labels, listed).backward()
        optimizer.step()
    worst_liked = scores.masked_fill(labels == 0, 1e9).amin(1)
    best_other = scores.masked_fill(labels == 1, -1e9).amax(1)
    assert (worst_liked > best_other).float().mean() > 0.95
