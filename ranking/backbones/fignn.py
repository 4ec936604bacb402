"""Fi-GNN (Li et al., CIKM 2019, arXiv 1910.05552): fields as nodes of a complete graph that exchange states.

1. Node states h^1: multi-head self-attention over the fields, with ReLU.
2. Edge weights: softmax over j != i of LeakyReLU(w . [e_i || e_j]), from the field embeddings.
3. Each step: a_i = sum over j of A_ij W_in^i W_out^j h_j + b; h_i = GRU(h_i, a_i) + h^1_i.
4. Logit: sum over the nodes of MLP_2's weight times MLP_1's score. A node's weight is a sigmoid and is
   computed from all nodes' states, as in the public PyTorch implementations; we could not read the paper's own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ranking.backbones.autoint import Interacting
from ranking.backbones.parts import FieldEmbedding, matrices
from ranking.shape import RankerShape

_STEPS = 2


class Graph(nn.Module):
    """States of the nodes after the exchange: [M, m, e] -> [M, m, e]."""

    itself: Tensor

    def __init__(self, count: int, width: int, steps: int = _STEPS) -> None:
        super().__init__()
        self.edge_from = nn.Linear(width, 1, bias=False)  # the two halves of w
        self.edge_to = nn.Linear(width, 1, bias=False)
        self.sent = matrices(steps, count, width, width)
        self.received = matrices(steps, count, width, width)
        self.bias = nn.Parameter(torch.zeros(steps, width))
        self.gru = nn.GRUCell(width, width)
        self.register_buffer("itself", torch.eye(count, dtype=torch.bool), persistent=False)

    def edges(self, embedded: Tensor) -> Tensor:
        """A [M, m, m]: row i holds the weights of what node i receives; the diagonal is zero."""
        scores = fn.leaky_relu(self.edge_from(embedded) + self.edge_to(embedded).transpose(1, 2), 0.01)
        return torch.softmax(scores.masked_fill(self.itself, float("-inf")), dim=-1)

    def forward(self, embedded: Tensor, start: Tensor) -> Tensor:
        """`embedded` f32[M, m, e] gives the edges, `start` f32[M, m, e] the first states."""
        edges = self.edges(embedded)
        state, first = start, start.flatten(0, 1)
        for sent, received, bias in zip(self.sent, self.received, self.bias, strict=True):
            heard = edges @ torch.einsum("nie,ife->nif", state, sent)
            heard = torch.einsum("nie,ife->nif", heard, received) + bias
            state = (self.gru(heard.flatten(0, 1), state.flatten(0, 1)) + first).reshape_as(start)
        return state


class FiGnn(nn.Module):
    """Reads the tensors of `parts.READS`; fields as in `parts.FieldEmbedding`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.fields = FieldEmbedding(shape, fields)
        count, width = self.fields.count, shape.embedding
        self.attention = Interacting(width)
        self.graph = Graph(count, width)
        self.score = nn.Linear(width, 1, bias=False)
        self.weight = nn.Linear(count * width, count, bias=False)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Logits [B, N]; `fields` f32[B, N, width of the fields]."""
        embedded = self.fields(batch, fields)
        flat = embedded.flatten(0, 1)
        state = self.graph(flat, self.attention(flat))
        weights = torch.sigmoid(self.weight(state.flatten(1)))
        logits: Tensor = (weights * self.score(state).squeeze(-1)).sum(-1) + self.bias
        return logits.reshape(embedded.shape[:2])
