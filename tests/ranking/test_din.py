"""DIN against the equations of its paper, written out."""

import torch

from ranking.backbones.din import Din
from ranking.shape import RankerShape

SHAPE = RankerShape(vocabulary=30, embedding=4, backbone_history=5, hidden=(6,), dropout=0.0)


def a_batch(users=3, count=4, length=7):
    torch.manual_seed(1)
    hist_index = torch.randint(2, 30, (users, length), dtype=torch.int32)
    hist_index[1, 2:] = 0
    hist_index[2, :] = 0
    return {
        "item_index": torch.randint(1, 30, (users, count), dtype=torch.int32),
        "hist_index": hist_index,
        "hist_value": torch.randint(1, 6, (users, length)).float(),
        "user_mask": torch.ones(users, 4, dtype=torch.uint8),
    }


def a_din(fields=0):
    torch.manual_seed(0)
    din = Din(SHAPE, fields).eval()
    torch.nn.init.normal_(din.items.weight)
    with torch.no_grad():
        din.items.weight[0] = 0
    return din


def by_the_paper(din, batch, user, place):
    """One user and one candidate: attention unit MLP([h, c, h * c]), weights normalised, then the MLP."""
    candidate = din.items.weight[batch["item_index"][user, place].long()]
    pooled, scores, states = torch.zeros(4), [], []
    for entry in range(SHAPE.backbone_history):
        index = batch["hist_index"][user, entry]
        if index == 0:
            continue
        value = (batch["hist_value"][user, entry] - SHAPE.middle) / SHAPE.spread
        state = din.items.weight[index.long()] + din.value.weight[:, 0] * value + din.value.bias
        unit = din.by_history.weight @ state + din.by_candidate(candidate) + din.by_product.weight @ (state * candidate)
        scores.append(din.weight(torch.relu(unit)))
        states.append(state)
    if states:
        pooled = (torch.softmax(torch.stack(scores)[:, 0], 0)[:, None] * torch.stack(states)).sum(0)
        return din.mlp(torch.cat([candidate, pooled]))[0]
    return None


def test_logits_are_those_of_the_papers_equations():
    din, batch = a_din(), a_batch()
    logits = din(batch, None)
    for user in (0, 1):
        for place in range(4):
            torch.testing.assert_close(logits[user, place], by_the_paper(din, batch, user, place))


def test_padding_and_what_lies_beyond_the_history_change_nothing():
    din, batch = a_din(), a_batch()
    before = din(batch, None)
    batch["hist_value"][1, 2:] = 9.0  # padding
    batch["hist_index"][0, SHAPE.backbone_history :] = 3
    torch.testing.assert_close(din(batch, None), before)


def test_a_hidden_history_is_as_if_the_user_had_another_one():
    din, batch = a_din(), a_batch()
    batch["user_mask"][:, 0] = 0
    hidden = din(batch, None)
    batch["hist_index"][:] = 5
    torch.testing.assert_close(din(batch, None), hidden)
    assert torch.isfinite(hidden).all()


def test_fields_beside_the_ids_reach_the_logit():
    din, batch = a_din(fields=3), a_batch()
    zero, one = din(batch, torch.zeros(3, 4, 3)), din(batch, torch.ones(3, 4, 3))
    assert not torch.allclose(zero, one)
