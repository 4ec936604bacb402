"""The losses of the rerankers' papers, worked out by hand."""

import math

import pytest
import torch

from ranking.rerankers.losses import attention_rank, listwise, pointwise

SCORES = torch.tensor([[math.log(2), 0.0, -1e4], [0.0, 0.0, 0.0]])
LABELS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
LISTED = torch.tensor([[True, True, False], [True, True, True]])


def test_attention_rank_loss_counts_each_place_as_a_decision_and_skips_lists_without_a_label():
    # Attention of the labels (1, 0), of the scores (2/3, 1/3).
    assert attention_rank(SCORES, LABELS, LISTED).item() == pytest.approx(-2 * math.log(2 / 3), abs=1e-5)


def test_listwise_loss_is_the_log_of_the_softmax_at_the_liked():
    assert listwise(SCORES, LABELS, LISTED).item() == pytest.approx(-math.log(2 / 3), abs=1e-5)


def test_pointwise_loss_leaves_the_fill_out():
    # Probabilities 2/3 and 1/2, then three times 1/2.
    wanted = (-math.log(2 / 3) - 4 * math.log(1 / 2)) / 5
    assert pointwise(SCORES, LABELS, LISTED).item() == pytest.approx(wanted, abs=1e-5)
