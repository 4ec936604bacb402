"""FiBiNET against the equations of its paper, worked out one number at a time."""

import pytest
import torch
from backbone_parts import a_batch, a_model, linear, numbers, plain_first_order, plain_tower, relu

from ranking.backbones.fibinet import Bilinear, FiBiNet, Senet


def reweighted(senet, fields):
    """Field by field: a = ReLU(W_2 ReLU(W_1 z)), z the means of the fields; v_i = a_i e_i."""
    means = [sum(field) / len(field) for field in fields]
    weights = relu(linear(senet.excite, relu(linear(senet.squeeze, means))))
    return [[weight * x for x in field] for weight, field in zip(weights, fields, strict=True)]


def products(bilinear, fields):
    """p_ij = (e_i W_i) * e_j for i < j."""
    found = []
    for i in range(len(fields)):
        for j in range(i + 1, len(fields)):
            matrix = numbers(bilinear.weight[i])
            width = range(len(fields[i]))
            turned = [sum(fields[i][k] * matrix[k][column] for k in width) for column in width]
            found += [t * x for t, x in zip(turned, fields[j], strict=True)]
    return found


def test_two_fields_give_the_numbers_done_by_hand():
    senet, bilinear = Senet(2, reduction=2), Bilinear(2, 2)
    with torch.no_grad():
        senet.squeeze.weight.copy_(torch.tensor([[1.0, 1.0]]))
        senet.excite.weight.copy_(torch.tensor([[2.0], [-1.0]]))
        bilinear.weight.copy_(torch.tensor([[[1.0, 2.0], [0.0, 1.0]]]))
    fields = torch.tensor([[[1.0, 3.0], [4.0, -2.0]]])
    # Means 2 and 1, squeezed to 3, excited to 6 and ReLU(-3) = 0.
    assert numbers(senet(fields)) == [[[6.0, 18.0], [0.0, 0.0]]]
    # (1, 3) W = (1, 2 + 3), times (4, -2).
    assert numbers(bilinear(fields)) == [[[4.0, -10.0]]]


def test_logits_are_first_order_and_the_tower_over_both_kinds_of_products():
    model, batch, beside = a_model(FiBiNet, fields=8), a_batch(), torch.randn(3, 4, 8)
    embedded = numbers(model.fields(batch, beside))
    logits = numbers(model(batch, beside))
    for user in range(3):
        for place in range(4):
            fields = embedded[user][place]
            both = products(model.plain, fields) + products(model.reweighted, reweighted(model.senet, fields))
            wanted = plain_first_order(model.first, batch, user, place, numbers(beside[user, place]))
            wanted += plain_tower(model.deep, both)[0]
            assert logits[user][place] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
