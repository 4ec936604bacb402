"""DCN against equation 3 of its paper, worked out one number at a time."""

import pytest
import torch
from backbone_parts import a_batch, a_model, dot, linear, numbers, plain_tower

from ranking.backbones.dcn import Dcn, VectorCrossLayers


def by_the_paper(cross, start):
    """x_{l+1} = x_0 (x_l . w) + b + x_l."""
    crossed = start
    for weight, bias in zip(numbers(cross.weight), numbers(cross.bias), strict=True):
        inner = dot(crossed, weight)
        crossed = [x0 * inner + b + x for x0, b, x in zip(start, bias, crossed, strict=True)]
    return crossed


def test_two_cross_layers_of_two_numbers_give_the_numbers_done_by_hand():
    cross = VectorCrossLayers(2, layers=2)
    with torch.no_grad():
        cross.weight.copy_(torch.tensor([[1.0, -1.0], [0.5, 1.0]]))
        cross.bias.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    # x0 = (2, 3): x0 . w = -1, x1 = (-2 + 1 + 2, -3 + 0 + 3) = (1, 0); x1 . w = 0.5, x2 = (1 + 0 + 1, 1.5 + 2 + 0).
    assert numbers(cross(torch.tensor([[2.0, 3.0]]))) == [[2.0, 3.5]]


def test_logits_are_those_of_cross_and_deep_under_one_linear_layer():
    model, batch, beside = a_model(Dcn, fields=4), a_batch(), torch.randn(3, 4, 4)
    start = numbers(model.fields(batch, beside).flatten(2))
    logits = numbers(model(batch, beside))
    for user in range(3):
        for place in range(4):
            x0 = start[user][place]
            both = by_the_paper(model.cross, x0) + plain_tower(model.deep, x0)
            assert logits[user][place] == pytest.approx(linear(model.out, both)[0], rel=1e-4, abs=1e-4)
