"""The parts of the rerankers' papers in plain Python, one number at a time."""

import math

import torch
from backbone_parts import a_batch, dot, linear, numbers, relu, sigmoid, softmax, times


def lists(users=3, length=5):
    """Lists of different items, the last one short by two."""
    batch = a_batch(users, length)
    batch["item_index"] = torch.stack([torch.randperm(28)[:length] + 2 for _ in range(users)]).int()
    batch["item_index"][2, 3:] = 0
    return {**batch, "base_score": torch.randn(users, length)}


def ranks(batch, user):
    """Rank of each listed place by its initial score, 0 = best."""
    scores = [float(s) for s, i in zip(batch["base_score"][user], batch["item_index"][user], strict=True) if i > 0]
    return [sorted(scores, reverse=True).index(score) for score in scores]


def items(model, batch, beside, user):
    """Vectors of the listed places: fields side by side, and the initial score standardised within its list."""
    embedded = numbers(model.input.fields(batch, beside).flatten(2)[user])
    count = int((batch["item_index"][user] > 0).sum())
    scores = numbers(batch["base_score"][user][:count])
    mean = sum(scores) / count
    spread = math.sqrt(sum((score - mean) ** 2 for score in scores) / count)
    return [[*vector, (score - mean) / spread] for vector, score in zip(embedded, scores, strict=False)]


def plus(left, right):
    return [a + b for a, b in zip(left, right, strict=True)]


def layer_norm(module, vector):
    mean = sum(vector) / len(vector)
    spread = math.sqrt(sum((x - mean) ** 2 for x in vector) / len(vector) + module.eps)
    scales, shifts = numbers(module.weight), numbers(module.bias)
    return [(x - mean) / spread * w + b for x, w, b in zip(vector, scales, shifts, strict=True)]


def multi_head(module, asking, asked):
    """Per head softmax(q . k / sqrt(size)) over the asked, sum of values; heads side by side, then a linear layer."""
    keys, values = [linear(module.key, row) for row in asked], [linear(module.value, row) for row in asked]
    found = []
    for row in asking:
        query, mixed = linear(module.query, row), []
        size = len(query) // module.heads
        for head in range(module.heads):
            part = slice(head * size, (head + 1) * size)
            weights = softmax([dot(query[part], key[part]) / math.sqrt(size) for key in keys])
            mixed += [sum(w * v[part][k] for w, v in zip(weights, values, strict=True)) for k in range(size)]
        found.append(linear(module.out, mixed))
    return found


def block(module, asking, asked):
    """H = LayerNorm(X + attention); LayerNorm(H + W2 ReLU(W1 H))."""
    found = []
    for row, attended in zip(asking, multi_head(module.attention, asking, asked), strict=True):
        mixed = layer_norm(module.norm, plus(row, attended))
        rows = linear(module.rows[3], relu(linear(module.rows[0], mixed)))
        found.append(layer_norm(module.rows_norm, plus(mixed, rows)))
    return found


def lstm(weights, given, hidden, cell):
    """One step; gates input, forget, candidate, output in torch's order. `weights` = (W, U, b, c)."""
    size = len(hidden)
    gates = plus(plus(times(weights[0], given), weights[2]), plus(times(weights[1], hidden), weights[3]))
    write, keep, new, show = (gates[part * size : (part + 1) * size] for part in range(4))
    cell = [sigmoid(f) * c + sigmoid(i) * math.tanh(g) for f, c, i, g in zip(keep, cell, write, new, strict=True)]
    return [sigmoid(o) * math.tanh(c) for o, c in zip(show, cell, strict=True)], cell
