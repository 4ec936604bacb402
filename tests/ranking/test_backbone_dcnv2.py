"""DCN V2 against equation 1 of its paper, worked out one number at a time."""

import pytest
import torch
from backbone_parts import a_batch, a_model, linear, numbers, plain_tower

from ranking.backbones.dcnv2 import CrossLayers, DcnV2


def by_the_paper(layers, start):
    """x_{l+1} = x_0 * (W x_l + b) + x_l, elementwise."""
    crossed = start
    for layer in layers:
        inner = linear(layer, crossed)
        crossed = [x0 * w + x for x0, w, x in zip(start, inner, crossed, strict=True)]
    return crossed


def test_a_cross_layer_of_two_numbers_gives_the_numbers_done_by_hand():
    cross = CrossLayers(2, layers=2)
    with torch.no_grad():
        cross.layers[0].weight.copy_(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
        cross.layers[0].bias.copy_(torch.tensor([0.5, 0.0]))
        cross.layers[1].weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        cross.layers[1].bias.copy_(torch.tensor([0.0, -1.0]))
    # x0 = (2, 3). W x0 + b = (8.5, 3); x1 = (2 * 8.5 + 2, 3 * 3 + 3) = (19, 12).
    # W x1 + b = (12, 18); x2 = (2 * 12 + 19, 3 * 18 + 12) = (43, 66).
    assert numbers(cross(torch.tensor([[2.0, 3.0]]))) == [[43.0, 66.0]]


def test_logits_are_those_of_cross_and_deep_in_parallel():
    model, batch, beside = a_model(DcnV2, fields=4), a_batch(), torch.randn(3, 4, 4)
    start = model.fields(batch, beside).flatten(2)
    logits = numbers(model(batch, beside))
    for user in range(3):
        for place in range(4):
            x0 = numbers(start[user, place])
            both = by_the_paper(model.cross.layers, x0) + plain_tower(model.deep, x0)
            assert logits[user][place] == pytest.approx(linear(model.out, both)[0], rel=1e-4, abs=1e-4)
