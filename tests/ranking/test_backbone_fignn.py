"""Fi-GNN against the equations of its paper, worked out one number at a time."""

import math

import pytest
import torch
from backbone_parts import a_batch, a_model, dot, numbers, sigmoid, softmax, times
from test_backbone_autoint import by_the_paper as attention

from ranking.backbones.fignn import FiGnn, Graph


def edges(graph, fields):
    """Softmax over j != i of LeakyReLU(w . [e_i || e_j])."""
    weight = numbers(graph.edge_from.weight)[0] + numbers(graph.edge_to.weight)[0]
    found = []
    for i, own in enumerate(fields):
        scores = {j: dot(weight, own + other) for j, other in enumerate(fields) if j != i}
        scores = {j: score if score > 0 else 0.01 * score for j, score in scores.items()}
        weights = dict(zip(scores, softmax(list(scores.values())), strict=True))
        found.append([weights.get(j, 0.0) for j in range(len(fields))])
    return found


def gru(cell, given, state):
    """Gates z and r, candidate state tanh(W x + b + r * (U h + c)), h' = (1 - z) n + z h (torch's naming of z)."""
    size = len(state)
    inner = [a + b for a, b in zip(times(numbers(cell.weight_ih), given), numbers(cell.bias_ih), strict=True)]
    outer = [a + b for a, b in zip(times(numbers(cell.weight_hh), state), numbers(cell.bias_hh), strict=True)]
    reset = [sigmoid(inner[k] + outer[k]) for k in range(size)]
    keep = [sigmoid(inner[size + k] + outer[size + k]) for k in range(size)]
    new = [math.tanh(inner[2 * size + k] + reset[k] * outer[2 * size + k]) for k in range(size)]
    return [(1 - keep[k]) * new[k] + keep[k] * state[k] for k in range(size)]


def states(graph, fields, start):
    """a_i = sum_j A_ij W_in^i W_out^j h_j + b; h_i = GRU(h_i, a_i) + h^1_i."""
    adjacency, state = edges(graph, fields), start
    for step in range(len(graph.sent)):
        sent, received, bias = numbers(graph.sent[step]), numbers(graph.received[step]), numbers(graph.bias[step])
        messages = [times(sent[j], state[j]) for j in range(len(fields))]
        after = []
        for i in range(len(fields)):
            mixed = [sum(adjacency[i][j] * messages[j][k] for j in range(len(fields))) for k in range(len(bias))]
            heard = [a + b for a, b in zip(times(received[i], mixed), bias, strict=True)]
            after.append([a + b for a, b in zip(gru(graph.gru, heard, state[i]), start[i], strict=True)])
        state = after
    return state


def test_edges_of_three_nodes_give_the_numbers_done_by_hand():
    graph = Graph(3, 1)
    with torch.no_grad():
        graph.edge_from.weight.fill_(1.0)
        graph.edge_to.weight.fill_(math.log(2))
    # Nodes 1, 2, 0. To node 1: scores 1 + 2 ln 2 and 1 + 0: weights 4/5 and 1/5; to node 2: 2 + ln 2 and 2: 2/3, 1/3;
    # to node 0: ln 2 and 2 ln 2: 1/3, 2/3. A node hears nothing from itself.
    wanted = [[0, 4 / 5, 1 / 5], [2 / 3, 0, 1 / 3], [1 / 3, 2 / 3, 0]]
    for row, expected in zip(numbers(graph.edges(torch.tensor([[[1.0], [2.0], [0.0]]])))[0], wanted, strict=True):
        assert row == pytest.approx(expected, abs=1e-6)


def test_logits_are_the_nodes_scores_weighted():
    model, batch, beside = a_model(FiGnn, fields=4), a_batch(), torch.randn(3, 4, 4)
    embedded = numbers(model.fields(batch, beside))
    logits = numbers(model(batch, beside))
    score = numbers(model.score.weight)[0]
    for user in range(3):
        for place in range(4):
            fields = embedded[user][place]
            final = states(model.graph, fields, attention(model.attention, fields))
            weights = [sigmoid(x) for x in times(numbers(model.weight.weight), [x for state in final for x in state])]
            wanted = sum(w * dot(score, state) for w, state in zip(weights, final, strict=True)) + model.bias.item()
            assert logits[user][place] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
