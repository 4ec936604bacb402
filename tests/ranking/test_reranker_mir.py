"""MIR against what its file says it computes, worked out one number at a time."""

import math

import pytest
import torch
from backbone_parts import SHAPE, a_model, dot, linear, numbers, plain_tower, softmax
from reranker_parts import items, layer_norm, lists, lstm, multi_head

from ranking.rerankers.mir import Mir, SetToList


def entry_fields(model, batch, user):
    """Id and value of each entry, newest first."""
    table, found = numbers(model.input.fields.items.weight), []
    for index, value in zip(batch["hist_index"][user][:5], batch["hist_value"][user][:5], strict=True):
        if index > 0:
            found.append([table[int(index)], linear(model.value, [(float(value) - SHAPE.middle) / SHAPE.spread])])
    return found


def read(module, rows):
    """Both directions of the LSTM beside the entries themselves."""
    both = []
    for suffix, order in (("", range(len(rows))), ("_reverse", range(len(rows))[::-1])):
        names = [f"{name}_l0{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        weights = [numbers(getattr(module, name)) for name in names]
        hidden = cell = [0.0] * module.hidden_size
        found = {}
        for place in order:
            hidden, cell = lstm(weights, rows[place], hidden, cell)
            found[place] = hidden
        both.append(found)
    return [both[0][place] + both[1][place] + rows[place] for place in range(len(rows))]


def affinity(between, candidates, candidate_fields, entries, fields, decay):
    """tanh((l W s + sum over pairs of fields of K <l_q, W s_v>) (1 + decay))."""
    pairs, scale = numbers(between.pairs), between.scale
    found = []
    for entry, own, age in zip(entries, fields, decay, strict=True):
        row = []
        for candidate, parts in zip(candidates, candidate_fields, strict=True):
            score = dot(entry, linear(between.whole, candidate)) * scale
            for q, left in enumerate(own):
                for v, right in enumerate(parts):
                    score += pairs[q][v] * dot(left, linear(between.single, right))
            row.append(math.tanh(score * (1 + age)))
        found.append(row)
    return found


def attend(between, candidates, entries, matrix):
    """Per candidate: softmax(tanh(P + Q A)) over the candidates, softmax(tanh(Q + P A^T)) over the entries."""
    scale = between.scale
    found = []
    for candidate in candidates:
        among = [dot(linear(between.on_candidates, candidate), other) * scale for other in candidates]
        across = [dot(linear(between.on_entries, candidate), entry) * scale for entry in entries]
        to_candidates = softmax(
            [math.tanh(p + sum(q * matrix[j][i] for j, q in enumerate(across))) for i, p in enumerate(among)]
        )
        to_entries = softmax([math.tanh(q + dot(among, matrix[j])) for j, q in enumerate(across)])
        found.append(
            [sum(w * c[k] for w, c in zip(to_candidates, candidates, strict=True)) for k in range(len(candidate))]
            + [sum(w * e[k] for w, e in zip(to_entries, entries, strict=True)) for k in range(len(entries[0]))]
        )
    return found


def test_affinity_of_one_entry_and_one_candidate_gives_the_number_done_by_hand():
    between = SetToList(width=1, entry=1, fields=1, embedding=1)
    with torch.no_grad():
        between.whole.weight.fill_(0.5)
        between.single.weight.fill_(2.0)
        between.pairs.copy_(torch.tensor([[0.25], [-0.5]]))
    # Candidate 2, entry 3: whole 3 * 0.5 * 2 = 3. Fields 1 and -1 of the entry, 0.2 of the candidate:
    # 0.25 * 1 * 2 * 0.2 - 0.5 * -1 * 2 * 0.2 = 0.3. Decay 0.5: tanh(3.3 * 1.5).
    asking = (torch.tensor([[[2.0]]]), torch.tensor([[[[0.2]]]]))
    asked = (torch.tensor([[[3.0]]]), torch.tensor([[[[1.0], [-1.0]]]]))
    found = between.affinity(asking, asked, torch.tensor([[0.5]])).item()
    assert found == pytest.approx(math.tanh(3.3 * 1.5), abs=1e-6)


def test_scores_are_the_towers_over_candidate_and_both_attended_vectors():
    model, batch, beside = a_model(Mir, fields=4), lists(), torch.randn(3, 5, 4)
    scores = numbers(model(batch, beside))
    for user in (0, 1):
        vectors = items(model, batch, beside, user)
        candidate_fields = [[vector[k : k + 4] for k in range(0, len(vector) - 1, 4)] for vector in vectors]
        own = [linear(model.project, vector) for vector in vectors]
        candidates = [a + b for a, b in zip(own, multi_head(model.within, own, own), strict=True)]
        fields = entry_fields(model, batch, user)
        entries = read(model.lstm, [left + right for left, right in fields])
        hidden = [x if x > 0 else 0.01 * x for x in linear(model.decay[0], candidate_fields[0][1])]
        theta = math.log1p(math.exp(linear(model.decay[2], hidden)[0]))
        decay = [math.exp(-theta * math.log2(1 + age)) for age in range(len(entries))]
        matrix = affinity(model.between, candidates, candidate_fields, entries, fields, decay)
        attended = attend(model.between, candidates, entries, matrix)
        wanted = [plain_tower(model.deep, layer_norm(model.norm, a + b))[0] for a, b in zip(own, attended, strict=True)]
        assert scores[user] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
