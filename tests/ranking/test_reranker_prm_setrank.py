"""PRM and SetRank against the equations of their papers, worked out one number at a time."""

import pytest
import torch
from backbone_parts import a_model, linear, numbers, relu
from reranker_parts import block, items, lists, multi_head, plus, ranks

from ranking.rerankers.parts import MultiHead
from ranking.rerankers.prm import Prm
from ranking.rerankers.setrank import SetRank


def test_attention_of_one_head_gives_the_number_done_by_hand():
    attention = MultiHead(1, heads=1)
    with torch.no_grad():
        for layer, weight in ((attention.query, 1.0), (attention.key, 0.6931471805599453), (attention.value, 3.0)):
            layer.weight.fill_(weight)
            layer.bias.zero_()
        attention.out.weight.fill_(1.0)
        attention.out.bias.fill_(0.5)
    # Asked 1 and 2 by 1: scores ln 2 and 2 ln 2, weights 1/3 and 2/3, values 3 and 6: 1 + 4 + 0.5. The third is hidden.
    asked, shown = torch.tensor([[[1.0], [2.0], [9.0]]]), torch.tensor([[True, True, False]])
    assert attention(torch.ones(1, 1, 1), asked, shown).item() == pytest.approx(5.5, abs=1e-5)
    assert multi_head(attention, [[1.0]], [[1.0], [2.0]])[0] == pytest.approx([5.5], abs=1e-5)


def test_prm_scores_are_those_of_the_encoder_over_items_with_positions():
    model, batch, beside = a_model(Prm, fields=4), lists(), torch.randn(3, 5, 4)
    scores, position = numbers(model(batch, beside)), numbers(model.position.weight)
    for user in range(3):
        order = ranks(batch, user)
        state = [
            linear(model.project, plus(vector, position[rank]))
            for vector, rank in zip(items(model, batch, beside, user), order, strict=True)
        ]
        for module in model.blocks:
            state = block(module, state, state)
        wanted = [linear(model.out, row)[0] for row in state]
        assert scores[user][: len(order)] == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_setrank_scores_are_those_of_induced_attention_with_ordinal_embeddings():
    model, batch, beside = a_model(SetRank, fields=4), lists(), torch.randn(3, 5, 4)
    scores, ordinal = numbers(model(batch, beside)), numbers(model.ordinal.weight)
    for user in range(3):
        order = ranks(batch, user)
        state = [
            plus(linear(model.project, vector), ordinal[rank])
            for vector, rank in zip(items(model, batch, beside, user), order, strict=True)
        ]
        for module in model.blocks:
            induced = block(module.gather, numbers(module.queries), state)
            state = block(module.spread, state, induced)
        wanted = [linear(model.out[3], relu(linear(model.out[0], row)))[0] for row in state]
        assert scores[user][: len(order)] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
