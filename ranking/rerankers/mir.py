"""MIR (Xi et al., SIGIR 2022, arXiv 2204.09370): the list as a set, against the user's history as a list.

1. Within the set: self-attention over the candidates S, beside S itself. Within the history: a bidirectional LSTM
   over the entries, beside the entries themselves.
2. Between them, an affinity of every entry with every candidate: of their whole vectors, L W S^T, plus of their
   single fields, weighted per pair of fields; each entry's affinity counts once, and once more decayed by
   exp(-theta * age), with theta computed from the user.
3. Co-attention with that affinity A: P = candidates on candidates, Q = candidates on entries;
   softmax(tanh(P + Q A)) over candidates and softmax(tanh(Q + P A^T)) over entries.
4. A tower over the candidate and both attended vectors.

Read in its abstract and in public ports of the authors' code, not in the paper's text. Ours: P and Q are bilinear forms
(in the code they have weights as long as the list, which ties a score to its place in the batch, and the paper wants
the order of the input to change nothing); age is log2(1 + place), newest = 0, because the history
carries no times; theta is kept positive.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ranking.backbones.parts import recent, tower
from ranking.rerankers.parts import FAR, ListInput, MultiHead, finish
from ranking.shape import RankerShape

_HEADS = 2
_ENTRY_FIELDS = 2  # id and value


class SetToList(nn.Module):
    """Steps 2 and 3: candidates and entries attended by each candidate."""

    def __init__(self, width: int, entry: int, fields: int, embedding: int) -> None:
        """`width` and `entry`: numbers of a candidate and of an entry; `fields` of `embedding` numbers a candidate."""
        super().__init__()
        self.whole = nn.Linear(width, entry, bias=False)
        self.single = nn.Linear(embedding, embedding, bias=False)
        self.pairs = nn.Parameter(torch.full((_ENTRY_FIELDS, fields), 1.0 / (_ENTRY_FIELDS * fields)))
        self.on_candidates = nn.Linear(width, width, bias=False)
        self.on_entries = nn.Linear(width, entry, bias=False)
        self.scale = width**-0.5

    def affinity(self, asking: tuple[Tensor, Tensor], asked: tuple[Tensor, Tensor], decay: Tensor) -> Tensor:
        """A f32[B, h, L] in (-1, 1) from (vectors, fields) of both sides and `decay` f32[B, h]."""
        (candidates, candidate_fields), (entries, entry_fields) = asking, asked
        whole = entries @ self.whole(candidates).transpose(1, 2) * self.scale
        weighted = torch.einsum("bhqe,qv->bhve", entry_fields, self.pairs).flatten(2)
        single = weighted @ self.single(candidate_fields).flatten(2).transpose(1, 2)
        return torch.tanh((whole + single) * (1 + decay.unsqueeze(-1)))

    def forward(
        self, candidates: Tensor, entries: Tensor, affinity: Tensor, listed: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attended candidates f32[B, L, width] and entries f32[B, L, entry]; nothing where there is no entry."""
        affinity = affinity * listed.unsqueeze(1) * present.unsqueeze(2)
        among = self.on_candidates(candidates) @ candidates.transpose(1, 2) * self.scale * listed.unsqueeze(1)
        across = self.on_entries(candidates) @ entries.transpose(1, 2) * self.scale * present.unsqueeze(1)
        to_candidates = torch.tanh(among + across @ affinity).masked_fill(~listed.unsqueeze(1), FAR)
        to_entries = torch.tanh(across + among @ affinity.transpose(1, 2)).masked_fill(~present.unsqueeze(1), FAR)
        attended = torch.softmax(to_entries, dim=-1) * present.unsqueeze(1)
        return torch.softmax(to_candidates, dim=-1) @ candidates, attended @ entries


class Mir(nn.Module):
    """Reads the tensors of `parts.READS`; trained with `losses.pointwise`."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        """`fields`: width of what stands beside the ids; 0 = nothing."""
        super().__init__()
        self.shape = shape
        self.input = ListInput(shape, fields)
        width = embedding = shape.embedding
        self.project = nn.Linear(self.input.size, width)
        self.within = MultiHead(width, _HEADS)
        self.value = nn.Linear(1, embedding)
        self.lstm = nn.LSTM(_ENTRY_FIELDS * embedding, embedding, batch_first=True, bidirectional=True)
        entry = 2 * embedding + _ENTRY_FIELDS * embedding
        self.decay = nn.Sequential(nn.Linear(embedding, embedding), nn.LeakyReLU(), nn.Linear(embedding, 1))
        self.between = SetToList(2 * width, entry, self.input.fields.count, embedding)
        self.norm = nn.LayerNorm(width + 2 * width + entry)
        self.deep = tower(width + 2 * width + entry, shape)

    def forward(self, batch: dict[str, Tensor], fields: Tensor | None) -> Tensor:
        """Scores f32[B, L]; `fields` f32[B, L, width of the fields]."""
        items, _, listed = self.input(batch, fields)
        count, embedding = self.input.fields.count, self.shape.embedding
        own = self.project(items)
        candidates = torch.cat([own, self.within(own, own, listed)], dim=-1)
        entries, entry_fields, present = self._history(batch)
        candidate_fields = items[..., :-1].reshape(*items.shape[:2], count, embedding)
        affinity = self.between.affinity(
            (candidates, candidate_fields), (entries, entry_fields), self._decay(candidate_fields, present)
        )
        attended = self.between(candidates, entries, affinity, listed, present)
        return finish(self.deep(self.norm(torch.cat([own, *attended], dim=-1))).squeeze(-1), listed)

    def _history(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Entries f32[B, h, entry], their fields f32[B, h, 2, e], and which are there, bool[B, h]."""
        index, value = recent(batch, self.shape)
        present = (index > 0) & (batch["user_mask"][:, :1] > 0)
        fields = torch.stack([self.input.fields.items(index), self.value(value.unsqueeze(-1))], dim=2)
        fields = fields * present[:, :, None, None]
        flat = fields.flatten(2)
        lengths = present.sum(1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(flat, lengths, batch_first=True, enforce_sorted=False)
        read, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=index.shape[1])
        return torch.cat([read, flat], dim=-1) * present.unsqueeze(-1), fields, present

    def _decay(self, candidate_fields: Tensor, present: Tensor) -> Tensor:
        """exp(-theta * age) f32[B, h]; theta from the pooled history, each candidate's second field."""
        theta = fn.softplus(self.decay(candidate_fields[:, 0, 1]))
        age = torch.log2(1.0 + torch.arange(present.shape[1], device=present.device))
        return torch.exp(-theta * age)
