"""A small batch, and what the tests of the backbones work out by hand in plain Python, one number at a time."""

import math

import torch

from ranking.shape import RankerShape

SHAPE = RankerShape(vocabulary=30, embedding=4, backbone_history=5, hidden=(6, 3), dropout=0.0)


def a_batch(users=3, count=4, length=7, vocabulary=30):
    torch.manual_seed(1)
    hist_index = torch.randint(2, vocabulary, (users, length), dtype=torch.int32)
    hist_index[1, 2:] = 0
    hist_index[2, :] = 0
    return {
        "item_index": torch.randint(1, vocabulary, (users, count), dtype=torch.int32),
        "hist_index": hist_index,
        "hist_value": torch.randint(1, 6, (users, length)).float(),
        "user_mask": torch.ones(users, 4, dtype=torch.uint8),
    }


def a_model(kind, fields=0, shape=SHAPE, seed=0):
    """Evaluation mode, and every weight drawn wide, so that no part is too small to be seen."""
    torch.manual_seed(seed)
    model = kind(shape, fields).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.4)
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding) and module.padding_idx == 0:
                module.weight[0] = 0
    return model


def numbers(tensor):
    """Nested lists of Python floats."""
    return tensor.detach().double().tolist()


def dot(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))


def linear(layer, vector):
    """W x + b."""
    bias = [0.0] * layer.out_features if layer.bias is None else numbers(layer.bias)
    return [dot(row, vector) + b for row, b in zip(numbers(layer.weight), bias, strict=True)]


def times(matrix, vector):
    return [dot(row, vector) for row in matrix]


def relu(vector):
    return [max(0.0, x) for x in vector]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softmax(scores):
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def plain_tower(sequential, vector):
    """The fully connected layers, ReLU between."""
    for module in sequential:
        if isinstance(module, torch.nn.Linear):
            vector = linear(module, vector)
        elif isinstance(module, torch.nn.ReLU):
            vector = relu(vector)
    return vector


def plain_first_order(module, batch, user, place, beside=()):
    """Weights of the candidate, of the history by value, and of the columns beside the ids."""
    weights, seen = numbers(module.items.weight), numbers(module.seen.weight)
    logit = module.bias.item() + weights[int(batch["item_index"][user, place])][0]
    entries = [
        (int(index), (float(value) - SHAPE.middle) / SHAPE.spread)
        for index, value in zip(batch["hist_index"][user][:5], batch["hist_value"][user][:5], strict=True)
        if index > 0
    ]
    if entries:
        logit += sum(seen[index][0] * value for index, value in entries) / len(entries)
    if beside:
        logit += linear(module.beside, beside)[0]
    return logit
