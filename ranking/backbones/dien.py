"""Deep Interest Evolution Network (Zhou et al., AAAI 2019, arXiv 1809.03672): how an interest moves to the candidate.

1. Interest extractor: a GRU over the history, oldest first.
2. Attention of the candidate to each state: softmax over t of h_t W e_a.
3. Interest evolution: GRU with attentional update gate (AUGRU): u'_t = a_t u_t,
   h'_t = (1 - u'_t) * h'_{t-1} + u'_t * candidate state. Its last state goes to the tower.

Left out: the auxiliary loss on the next behaviour, which needs negatives sampled per step and so
more than logits from `forward`. All candidates take a step at once; the loop runs over the history's entries.
"""

import torch
from torch import Tensor, nn

from ranking.backbones.parts import item_embedding, recent, tower
from ranking.shape import RankerShape

_FAR = -1e4


class Augru(nn.Module):
    """Evolution of the interest, one sequence of states per user and one attention per candidate.

    Gates in the order reset, update, new; the state's own biases stand with the input's, as in the paper (torch's
    GRU has two biases a gate). The new state's recurrent part is U (r * h'), the reset gate inside.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.by_input = nn.Linear(width, 3 * width)
        self.by_state = nn.Linear(width, 2 * width, bias=False)
        self.by_reset = nn.Linear(width, width, bias=False)

    def forward(self, states: Tensor, attention: Tensor) -> Tensor:
        """Last state f32[B, N, e] from `states` f32[B, h, e] and `attention` f32[B, N, h]; weight 0 changes nothing."""
        reset_in, update_in, new_in = self.by_input(states).unsqueeze(2).split(self.width, dim=-1)  # [B, h, 1, e]
        evolved = states.new_zeros(*attention.shape[:2], self.width)
        for step in range(states.shape[1]):
            reset_own, update_own = self.by_state(evolved).split(self.width, dim=-1)
            reset = torch.sigmoid(reset_in[:, step] + reset_own)
            update = torch.sigmoid(update_in[:, step] + update_own) * attention[:, :, step, None]
            new = torch.tanh(new_in[:, step] + self.by_reset(reset * evolved))
            evolved = torch.lerp(evolved, new, update)
        return evolved


class Dien(nn.Module):
    """Reads the tensors of `parts.READS`: history newest first, padding at the end."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.shape = shape
        width = shape.embedding
        self.items = item_embedding(shape)
        self.value = nn.Linear(1, width)
        self.extract = nn.GRU(width, width, batch_first=True)
        self.attend = nn.Linear(width, width, bias=False)
        self.evolve = Augru(width)
        self.mlp = tower(2 * width + fields, shape)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Logits [B, N]; `fields` f32[B, N, width of the fields]."""
        candidate = self.items(batch["item_index"].long())
        interest = self._interest(batch, candidate)
        parts = [candidate, interest] if fields is None else [candidate, interest, fields]
        logits: Tensor = self.mlp(torch.cat(parts, dim=-1)).squeeze(-1)
        return logits

    def _interest(self, batch: dict[str, Tensor], candidate: Tensor) -> Tensor:
        """Interest evolved towards each candidate: [B, N, e]; zeros where the history is hidden or empty."""
        index, value = recent(batch, self.shape)
        # Oldest first, and padding behind it: at the front it would move the extractor's state before the first entry.
        present = index > 0
        places = torch.arange(index.shape[1], device=index.device)
        order = (present.sum(1, keepdim=True) - 1 - places) % index.shape[1]
        index, value, present = index.gather(1, order), value.gather(1, order), present.gather(1, order)
        states, _ = self.extract(self.items(index) + self.value(value.unsqueeze(-1)))
        scores = torch.bmm(self.attend(candidate), states.transpose(1, 2))  # [B, N, h]
        present = present & (batch["user_mask"][:, :1] > 0)
        attention = torch.softmax(scores.masked_fill(~present.unsqueeze(1), _FAR), dim=-1)
        return self.evolve(states, attention * present.unsqueeze(1))  # type: ignore[no-any-return] # a Module's call
