"""What every field-wise backbone stands on: its fields and the first-order terms, worked out one number at a time."""

import pytest
import torch
from backbone_parts import SHAPE, a_batch, a_model, linear, numbers, plain_first_order

from ranking.backbones.parts import FieldEmbedding, FirstOrder


def test_fields_are_candidate_history_mean_history_by_value_and_what_stands_beside():
    fields, batch, beside = a_model(FieldEmbedding, fields=8), a_batch(), torch.randn(3, 4, 8)
    found = numbers(fields(batch, beside))
    table = numbers(fields.items.weight)
    for user, entries in ((0, 5), (1, 2)):
        index = [int(i) for i in batch["hist_index"][user][:entries]]
        value = [(float(v) - SHAPE.middle) / SHAPE.spread for v in batch["hist_value"][user][:entries]]
        mean_value = linear(fields.value, [sum(value) / entries])
        mean = [sum(table[i][k] for i in index) / entries + mean_value[k] for k in range(4)]
        by_value = [sum(v * table[i][k] for i, v in zip(index, value, strict=True)) / entries for k in range(4)]
        for place in range(4):
            candidate = table[int(batch["item_index"][user, place])]
            halves = numbers(beside[user, place])
            expected = [candidate, mean, by_value, halves[:4], halves[4:]]
            for row, wanted in zip(found[user][place], expected, strict=True):
                assert row == pytest.approx(wanted, abs=1e-5)


def test_a_user_without_history_has_zero_history_fields_not_a_bias():
    fields = a_model(FieldEmbedding)
    assert not fields(a_batch(), None)[2, :, 1:3].any()


def test_columns_that_do_not_divide_are_projected_first():
    fields = a_model(FieldEmbedding, fields=6)
    beside = torch.randn(3, 4, 6)
    found = fields(a_batch(), beside)
    assert found.shape == (3, 4, fields.count, 4)
    assert numbers(found[0, 0, 3:].flatten()) == pytest.approx(linear(fields.project, numbers(beside[0, 0])), abs=1e-5)


def test_first_order_terms_are_a_weight_per_id_and_per_column():
    first, batch, beside = a_model(FirstOrder, fields=3), a_batch(), torch.randn(3, 4, 3)
    found = numbers(first(batch, beside))
    for user in range(3):
        for place in range(4):
            wanted = plain_first_order(first, batch, user, place, numbers(beside[user, place]))
            assert found[user][place] == pytest.approx(wanted, abs=1e-5)
