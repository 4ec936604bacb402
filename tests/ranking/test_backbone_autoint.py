"""AutoInt+ against the equations of its paper, worked out one number at a time."""

import pytest
import torch
from backbone_parts import a_batch, a_model, dot, linear, numbers, plain_tower, relu, softmax, times

from ranking.backbones.autoint import AutoInt, Interacting


def by_the_paper(layer, fields):
    """Per head softmax over k of <W_Q e_m, W_K e_k>, sum of W_V e_k, heads side by side, plus W_Res e_m, ReLU."""
    width = len(fields[0])
    stacked = numbers(layer.project.weight)
    query, key, value, residual = (stacked[part * width : (part + 1) * width] for part in range(4))
    size = width // layer.heads
    found = []
    for own in fields:
        attended = []
        for head in range(layer.heads):
            rows = slice(head * size, (head + 1) * size)
            weights = softmax([dot(times(query[rows], own), times(key[rows], other)) for other in fields])
            values = [times(value[rows], other) for other in fields]
            attended += [sum(w * v[k] for w, v in zip(weights, values, strict=True)) for k in range(size)]
        found.append(relu([a + r for a, r in zip(attended, times(residual, own), strict=True)]))
    return found


def test_attention_of_two_fields_gives_the_numbers_done_by_hand():
    layer = Interacting(1, heads=1)
    with torch.no_grad():
        layer.project.weight.copy_(torch.tensor([[1.0], [0.6931471805599453], [2.0], [-1.0]]))
    # Fields 1 and 2; scores of field 1: ln 2 and 2 ln 2, so weights 1/3 and 2/3: 2/3 + 8/3 - 1 = 7/3.
    # Scores of field 2: 2 ln 2 and 4 ln 2, so weights 1/5 and 4/5: 2/5 + 16/5 - 2 = 8/5.
    found = numbers(layer(torch.tensor([[[1.0], [2.0]]])).flatten())
    assert found == pytest.approx([7 / 3, 8 / 5], abs=1e-5)


def test_logits_are_attended_fields_and_tower():
    model, batch, beside = a_model(AutoInt, fields=4), a_batch(), torch.randn(3, 4, 4)
    embedded = numbers(model.fields(batch, beside))
    logits = numbers(model(batch, beside))
    for user in range(3):
        for place in range(4):
            fields = attended = embedded[user][place]
            for layer in model.layers:
                attended = by_the_paper(layer, attended)
            wanted = linear(model.out, [x for field in attended for x in field])[0]
            wanted += plain_tower(model.deep, [x for field in fields for x in field])[0]
            assert logits[user][place] == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_heads_that_do_not_divide_the_width_are_refused_before_training():
    with pytest.raises(ValueError, match="choose an embedding width"):
        Interacting(5, heads=2)
