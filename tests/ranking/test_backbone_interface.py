"""What every backbone has to keep, whatever it computes."""

from dataclasses import replace

import pytest
import torch
from backbone_parts import SHAPE, a_batch, a_model

from ranking.backbones import BACKBONES
from ranking.backbones.parts import READS

STEPS = 150
EVERY = pytest.mark.parametrize("name", list(BACKBONES))


@EVERY
def test_it_reads_its_declared_tensors_alone(name):
    batch = a_batch()
    assert set(batch) == set(READS)
    logits = a_model(BACKBONES[name])(batch, None)
    assert logits.shape == (3, 4)
    assert torch.isfinite(logits).all()


@EVERY
def test_a_candidate_scores_the_same_whoever_stands_beside_it(name):
    model, batch, beside = a_model(BACKBONES[name], fields=8), a_batch(), torch.randn(3, 4, 8)
    together = model(batch, beside)
    for place in range(4):
        alone = {**batch, "item_index": batch["item_index"][:, place : place + 1]}
        torch.testing.assert_close(model(alone, beside[:, place : place + 1]), together[:, place : place + 1])


@EVERY
def test_a_user_scores_the_same_whoever_else_is_in_the_batch(name):
    model, batch = a_model(BACKBONES[name]), a_batch()
    together = model(batch, None)
    for user in range(3):
        alone = {key: tensor[user : user + 1] for key, tensor in batch.items()}
        torch.testing.assert_close(model(alone, None), together[user : user + 1])


@EVERY
def test_padding_and_what_lies_beyond_the_history_change_nothing(name):
    model, batch = a_model(BACKBONES[name]), a_batch()
    before = model(batch, None)
    batch["hist_value"][1, 2:] = 9.0
    batch["hist_value"][2] = 9.0
    batch["hist_index"][0, SHAPE.backbone_history :] = 3
    torch.testing.assert_close(model(batch, None), before)


@EVERY
def test_a_hidden_history_is_as_if_the_user_had_none(name):
    model, batch = a_model(BACKBONES[name]), a_batch()
    none = model({**batch, "hist_index": torch.zeros_like(batch["hist_index"])}, None)
    batch["user_mask"][:, 0] = 0
    torch.testing.assert_close(model(batch, None), none)


@EVERY
def test_history_value_candidate_and_fields_each_move_the_logit(name):
    model, batch, beside = a_model(BACKBONES[name], fields=8), a_batch(), torch.randn(3, 4, 8)
    before = model(batch, beside)
    other_value = {**batch, "hist_value": 6 - batch["hist_value"]}
    other_item = {**batch, "item_index": (batch["item_index"] + 7) % 28 + 2}
    other_history = {**batch, "hist_index": torch.where(batch["hist_index"] > 0, 29 - batch["hist_index"] % 20, 0)}
    assert not torch.allclose(model(other_value, beside)[0], before[0])
    assert not torch.allclose(model(other_item, beside), before)
    assert not torch.allclose(model(other_history, beside)[0], before[0])
    assert not torch.allclose(model(batch, beside + 1), before)


@EVERY
def test_every_weight_is_trained(name):
    model, batch = a_model(BACKBONES[name], fields=6).train(), a_batch()
    model(batch, torch.randn(3, 4, 6)).square().sum().backward()
    idle = [key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not idle


@pytest.mark.slow
@EVERY
def test_it_learns_that_the_value_of_a_history_entry_turns_its_meaning(name):
    """Liked = the candidate is of the history's kind and that was rated high, or of the other kind and it was low."""
    torch.manual_seed(0)
    kind, high = torch.randint(0, 2, (128,)), torch.randint(0, 2, (128,))
    candidate_kind = torch.randint(0, 2, (128,))
    batch = {
        "item_index": (2 + 2 * torch.randint(0, 8, (128,)) + candidate_kind).int().unsqueeze(1),
        "hist_index": (2 + 2 * torch.randint(0, 8, (128, 5)) + kind.unsqueeze(1)).int(),
        "hist_value": (2 + 3 * high).float().unsqueeze(1).expand(-1, 5),
        "user_mask": torch.ones(128, 4, dtype=torch.uint8),
    }
    liked = ((candidate_kind == kind) == (high == 1)).float()
    model = BACKBONES[name](replace(SHAPE, hidden=(16, 16)), 0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(STEPS):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(batch, None).squeeze(1), liked)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3  # knowing nothing costs 0.69
