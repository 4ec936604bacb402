"""xDeepFM against the equations of its paper, worked out one number at a time."""

import pytest
import torch
from backbone_parts import a_batch, a_model, linear, numbers, plain_first_order, plain_tower

from ranking.backbones.xdeepfm import Cin, XDeepFm


def by_the_paper(cin, fields):
    """X^k_h = sum_ij W^{k,h}_ij (X^{k-1}_i * X^0_j); each map summed over its numbers, all layers side by side."""
    before, sums = fields, []
    for layer in cin.layers:
        maps = []
        for weight in numbers(layer.weight):
            row = [0.0] * len(fields[0])
            for i, left in enumerate(before):
                for j, right in enumerate(fields):
                    for k in range(len(row)):
                        row[k] += weight[i * len(fields) + j] * left[k] * right[k]
            maps.append(row)
        sums += [sum(row) for row in maps]
        before = maps
    return sums


def test_one_map_of_two_fields_gives_the_number_done_by_hand():
    cin = Cin(2, maps=(1, 1))
    with torch.no_grad():
        cin.layers[0].weight.copy_(torch.tensor([[1.0, 2.0, 0.0, -1.0]]))
        cin.layers[1].weight.copy_(torch.tensor([[1.0, 3.0]]))
    # a = (1, 2), b = (3, 1). X1 = a*a + 2 a*b - b*b = (1 + 6 - 9, 4 + 4 - 1) = (-2, 7), summed 5.
    # X2 = X1*a + 3 X1*b = (-2 - 18, 14 + 21) = (-20, 35), summed 15.
    assert numbers(cin(torch.tensor([[[1.0, 2.0], [3.0, 1.0]]]))) == [[5.0, 15.0]]


def test_logits_are_linear_part_and_compressed_interactions_and_tower():
    model, batch, beside = a_model(XDeepFm, fields=4), a_batch(), torch.randn(3, 4, 4)
    embedded = numbers(model.fields(batch, beside))
    logits = numbers(model(batch, beside))
    for user in range(3):
        for place in range(4):
            fields = embedded[user][place]
            wanted = plain_first_order(model.first, batch, user, place, numbers(beside[user, place]))
            wanted += linear(model.out, by_the_paper(model.cin, fields))[0]
            wanted += plain_tower(model.deep, [x for field in fields for x in field])[0]
            assert logits[user][place] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
