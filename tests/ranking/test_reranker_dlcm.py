"""DLCM against the equations of its paper, worked out one number at a time."""

import math

import pytest
import torch
from backbone_parts import a_model, dot, linear, numbers
from reranker_parts import items, lists, ranks
from test_backbone_dien import ExtractorCell
from test_backbone_fignn import gru

from ranking.rerankers.dlcm import Dlcm


def elu(vector):
    return [x if x > 0 else math.exp(x) - 1 for x in vector]


def test_scores_are_outputs_against_the_context_read_from_the_worst_item_to_the_best():
    model, batch, beside = a_model(Dlcm, fields=4), lists(), torch.randn(3, 5, 4)
    scores = numbers(model(batch, beside))
    for user in range(3):
        vectors, order = items(model, batch, beside, user), ranks(batch, user)
        outputs, state = {}, [0.0] * model.gru.hidden_size
        for place in sorted(range(len(order)), key=lambda place: -order[place]):
            wide = elu(linear(model.widen[3], elu(linear(model.widen[0], vectors[place]))))
            state = gru(ExtractorCell(model.gru), wide + vectors[place], state)
            outputs[place] = state
        depth = model.out.in_features
        context = [math.tanh(x) for x in linear(model.context, state)]  # a x k, row by row
        for place, output in outputs.items():
            mixed = [dot(output, context[k::depth]) for k in range(depth)]
            assert scores[user][place] == pytest.approx(linear(model.out, mixed)[0], rel=1e-4, abs=1e-4)
