"""DIEN against the equations of its paper, worked out one number at a time."""

import math

import pytest
import torch
from backbone_parts import SHAPE, a_batch, a_model, dot, linear, numbers, plain_tower, sigmoid, softmax, times
from test_backbone_fignn import gru

from ranking.backbones.dien import Augru, Dien


class ExtractorCell:
    """The weights of the extractor's GRU under the names of a cell."""

    def __init__(self, layer):
        self.weight_ih, self.weight_hh = layer.weight_ih_l0, layer.weight_hh_l0
        self.bias_ih, self.bias_hh = layer.bias_ih_l0, layer.bias_hh_l0


def evolved(augru, states, attention):
    """By step: u' = a u; h' = (1 - u') * h + u' * tanh(W i + U (r * h) + b)."""
    size = augru.width
    own = [0.0] * size
    for state, weight in zip(states, attention, strict=True):
        given, recurrent = linear(augru.by_input, state), linear(augru.by_state, own)
        reset = [sigmoid(given[k] + recurrent[k]) for k in range(size)]
        update = [weight * sigmoid(given[size + k] + recurrent[size + k]) for k in range(size)]
        inner = linear(augru.by_reset, [r * h for r, h in zip(reset, own, strict=True)])
        new = [math.tanh(given[2 * size + k] + inner[k]) for k in range(size)]
        own = [(1 - u) * h + u * n for u, h, n in zip(update, own, new, strict=True)]
    return own


def entries(model, batch, user):
    """The extractor's inputs, oldest first."""
    table, found = numbers(model.items.weight), []
    for index, value in zip(batch["hist_index"][user][:5], batch["hist_value"][user][:5], strict=True):
        if index > 0:
            shift = linear(model.value, [(float(value) - SHAPE.middle) / SHAPE.spread])
            found.append([a + b for a, b in zip(table[int(index)], shift, strict=True)])
    return found[::-1]


def test_the_attention_scales_the_update_gate():
    augru = Augru(1)
    with torch.no_grad():
        augru.by_input.weight.copy_(torch.tensor([[0.0], [0.0], [1.0]]))
        augru.by_input.bias.zero_()
        augru.by_state.weight.zero_()
        augru.by_reset.weight.zero_()
    # Gates are 1/2, the candidate state tanh(x): 0.4 * 0.5 * tanh(1), then a step of weight 0, then
    # (1 - 0.3) h + 0.3 tanh(2).
    attention = torch.tensor([[[0.4, 0.0, 0.6]]])
    found = augru(torch.tensor([[[1.0], [5.0], [2.0]]]), attention).item()
    assert found == pytest.approx(0.7 * 0.2 * math.tanh(1) + 0.3 * math.tanh(2), abs=1e-6)


def test_logits_are_those_of_the_interest_evolved_oldest_first():
    model, batch, beside = a_model(Dien, fields=3), a_batch(), torch.randn(3, 4, 3)
    logits = numbers(model(batch, beside))
    table = numbers(model.items.weight)
    for user in range(3):
        states, own = [], [0.0] * 4
        for given in entries(model, batch, user):
            own = gru(ExtractorCell(model.extract), given, own)
            states.append(own)
        for place in range(4):
            candidate = table[int(batch["item_index"][user, place])]
            turned = times(numbers(model.attend.weight), candidate)
            attention = softmax([dot(state, turned) for state in states]) if states else []
            interest = evolved(model.evolve, states, attention)
            wanted = plain_tower(model.mlp, candidate + interest + numbers(beside[user, place]))[0]
            assert logits[user][place] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
