"""DeepFM against the equations of its paper, worked out one number at a time."""

import pytest
import torch
from backbone_parts import a_batch, a_model, dot, numbers, plain_first_order, plain_tower

from ranking.backbones.deepfm import DeepFm, pairs


def test_three_fields_of_two_numbers_give_the_number_done_by_hand():
    # <(1, 2), (3, -1)> + <(1, 2), (0, 4)> + <(3, -1), (0, 4)> = 1 + 8 - 4.
    assert pairs(torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 4.0]])) == 5.0


def test_logits_are_first_order_and_pairs_and_tower():
    model, batch, beside = a_model(DeepFm, fields=8), a_batch(), torch.randn(3, 4, 8)
    embedded = numbers(model.fields(batch, beside))
    logits = numbers(model(batch, beside))
    for user in range(3):
        for place in range(4):
            fields = embedded[user][place]
            wanted = plain_first_order(model.first, batch, user, place, numbers(beside[user, place]))
            for i in range(len(fields)):
                for j in range(i + 1, len(fields)):
                    wanted += dot(fields[i], fields[j])
            wanted += plain_tower(model.deep, [x for field in fields for x in field])[0]
            assert logits[user][place] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
