"""The matching head: how a candidate agrees with what a user experienced, did recently, and is expected to like.

Works on prestored vectors alone, for any backbone. Inputs are the tensors of the design, "Serving"; B users, N
candidates, F factors, d numbers each. Its columns come in groups (`widths`), of which a ranker has those that its
shape names. torch and the standard library only: it runs in the Triton environment.
"""

import torch
from torch import Tensor, nn

from ranking.matching import agreement, neighbourhood, surprises, weighted
from ranking.regression import ANCHOR_NOISE, EXPECTED_NOISE, EXPECTED_SURPRISE, KNOWLEDGE, Observed, likeness, posterior
from ranking.shape import RankerShape

TAUS = (0.05, 0.15)  # temperatures of the kernels over knowledge
COLLABORATIVE_TAUS = (0.1, 0.3)
HISTORY, EXPERIENCED, EXPECTED, SUMMARY = range(4)  # places in user_mask

REGRESSIONS = ("taste_knowledge", "taste_collaborative", "taste", "anchored_knowledge", "anchored")

_CLAMP = 5.0

# What hides a group; see `_gates`.
_NEAR, _EXPERIENCED, _EXPECTED, _EXPECTED_USER, _EXPECTED_ID, _HISTORY_USER, _HISTORY_ID, _ID = range(8)
_NEAR_ID, _NEAR_EXPECTED, _NEAR_EXPECTED_ID = range(8, 11)
_GATE = {
    "experienced": _EXPERIENCED,
    "expected": _EXPECTED,
    "neighbourhood": _NEAR,
    "experienced_mean": _EXPERIENCED,
    "neighbourhood_mean": _NEAR,
    "anchors_level": _EXPECTED_USER,
    "anchors_knowledge": _EXPECTED,
    "anchors_collaborative": _EXPECTED_ID,
    "anchors_itself": _EXPECTED_ID,
    "statistics": _HISTORY_USER,
    "since": _EXPECTED_USER,
    "collaborative": _HISTORY_ID,
    "items": _ID,
    "level": _HISTORY_USER,
    "taste_knowledge": _NEAR,
    "taste_collaborative": _HISTORY_ID,
    "taste": _NEAR_ID,
    "anchored_knowledge": _NEAR_EXPECTED,
    "anchored": _NEAR_EXPECTED_ID,
}


def widths(factors: int, statistics: int = 5) -> dict[str, int]:
    """How many columns each group has.

    experienced, expected       cosines of the candidate with what was liked and disliked, per factor
    neighbourhood               the user's own surprises at items like the candidate
    experienced_mean, neighbourhood_mean    the same over the mean of the factors: fewer columns to learn by heart
    anchors_level               the mean of expected anchor values, above the usual
    anchors_knowledge           anchor values at anchors like the candidate in knowledge space
    anchors_collaborative       the same in collaborative space
    anchors_itself              the anchor value where the candidate is an anchor
    statistics                  of the user's values
    since                       log1p(events since the knowledge)
    collaborative               liked and disliked, and own surprises, in collaborative space
    items                       of the candidate: its usual surprise and log1p(ratings), from training users
    level                       regression on own values (`ranking.regression`) without any taste
    taste_knowledge, taste_collaborative, taste     the same with tastes told by texts, by training users, by both
    anchored_knowledge, anchored                    the same with an LLM's expectations as further observations
    """
    taus = len(TAUS)
    return {
        "experienced": 2 * factors,
        "expected": 2 * factors,
        "neighbourhood": taus * (factors + 1),
        "experienced_mean": 2,
        "neighbourhood_mean": taus,
        "anchors_level": 1,
        "anchors_knowledge": taus,
        "anchors_collaborative": len(COLLABORATIVE_TAUS),
        "anchors_itself": 1,
        "statistics": statistics - 1,
        "since": 1,
        "collaborative": 2 + len(COLLABORATIVE_TAUS),
        "items": 2,
        "level": 1,
        **dict.fromkeys(REGRESSIONS, 1),
    }


class MatchingHead(nn.Module):
    """Features of user and candidate, standardised, with hidden parts at zero and the masks beside them."""

    anchor_vec: Tensor
    anchor_index: Tensor
    anchor_means: Tensor
    anchor_likeness: Tensor
    collaborative: Tensor
    taste: Tensor
    items: Tensor
    told_taste: Tensor
    mean: Tensor
    scale: Tensor
    group: Tensor

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        width = widths(shape.factors, shape.statistics)
        self.groups = shape.groups
        gates = [_GATE[name] for name in shape.groups for _ in range(width[name])]
        self.width = len(gates) + 5
        self._middle = shape.middle
        self.register_buffer("anchor_vec", torch.zeros(shape.anchors, shape.factors, shape.dim))
        self.register_buffer("anchor_index", torch.zeros(shape.anchors, dtype=torch.int32))
        self.register_buffer("anchor_means", torch.zeros(shape.anchors))
        # Cosines of items' and anchors' collaborative vectors (from training users); zeros for an unknown item.
        self.register_buffer("anchor_likeness", torch.zeros(shape.vocabulary, shape.anchors))
        if shape.collaborative:
            self.register_buffer("collaborative", torch.zeros(shape.vocabulary, shape.collaborative))
            self.register_buffer("taste", torch.zeros(shape.vocabulary, shape.collaborative))
            # Knowledge vectors to the tastes that they tell of: for what is no item of its own.
            told = torch.zeros(shape.factors * shape.dim, shape.collaborative)
            self.register_buffer("told_taste", told)
            self.register_buffer("items", torch.zeros(shape.vocabulary, 2))
        self.register_buffer("mean", torch.zeros(len(gates)))
        self.register_buffer("scale", torch.ones(len(gates)))
        self.register_buffer("group", torch.tensor(gates, dtype=torch.int64), persistent=False)

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """Raw features f32[B, N, K] of all groups, whatever the masks say."""
        columns = self.columns(batch, self.groups)
        return torch.cat([columns[name] for name in self.groups], dim=-1)

    def columns(self, batch: dict[str, Tensor], groups: tuple[str, ...]) -> dict[str, Tensor]:
        """Raw columns [B, N, width] of each of `groups`."""
        item = batch["item_vec"].float()
        count = item.shape[1]
        columns = {}
        if {"experienced", "experienced_mean"} & {*groups}:
            columns["experienced"] = cosines = agreement(batch["user_experienced"].float(), item)
            columns["experienced_mean"] = torch.stack([side.mean(-1) for side in cosines.chunk(2, dim=-1)], dim=-1)
        if "expected" in groups:
            columns["expected"] = agreement(batch["user_expected"].float(), item)
        if {"neighbourhood", "neighbourhood_mean"} & {*groups}:
            columns["neighbourhood"] = near = self._neighbourhood(batch, item)
            factors = item.shape[2]
            columns["neighbourhood_mean"] = near[..., factors :: factors + 1]
        if any(name.startswith("anchors") for name in groups):
            columns |= self._anchors(batch, item)
        if "collaborative" in groups:
            columns["collaborative"] = self._collaborative(batch)
        if "items" in groups:
            columns["items"] = self.items[batch["item_index"].long()]
        if "level" in groups:
            columns["level"] = self._level(batch, count)
        regressions = tuple(name for name in REGRESSIONS if name in groups)
        if regressions:
            columns |= self._regressions(batch, item, regressions)
        stats = batch["user_stats"].float().unsqueeze(1).expand(-1, count, -1)
        columns["statistics"], columns["since"] = stats[..., :-1], stats[..., -1:]
        return columns

    def forward(self, batch: dict[str, Tensor], features: Tensor | None = None) -> Tensor:
        """f32[B, N, width]: standardised features (`features` if they are known already), and the masks."""
        raw = self.features(batch) if features is None else features
        standard = ((raw - self.mean) / self.scale).clamp(-_CLAMP, _CLAMP)
        count = raw.shape[1]
        masks = torch.cat(
            [
                batch["user_mask"].to(raw.dtype).unsqueeze(1).expand(-1, count, -1),
                batch["item_mask"].to(raw.dtype).unsqueeze(-1),
            ],
            dim=-1,
        )
        return torch.cat([standard * _gates(batch, raw.dtype)[..., self.group], masks], dim=-1)

    def _neighbourhood(self, batch: dict[str, Tensor], item: Tensor) -> Tensor:
        vec = batch["hist_vec"].float()
        present = batch["hist_index"] > 0  # an item outside the vocabulary is 1
        known = (vec.abs().amax(dim=(-1, -2)) > 0) & present
        return neighbourhood(vec, surprises(batch["hist_value"].float(), present, known), known, item, TAUS)

    def _collaborative(self, batch: dict[str, Tensor]) -> Tensor:
        """Cosines with the sums of liked and of disliked history items, and surprises at items like the candidate."""
        vec = self.collaborative[batch["hist_index"].long()]  # [B, H, r]
        candidate = self.collaborative[batch["item_index"].long()]
        present = batch["hist_index"] > 0
        known = (vec.abs().amax(-1) > 0) & present
        value = batch["hist_value"].float()
        liked = ((value > self._middle) & known).to(vec.dtype)
        disliked = ((value <= self._middle) & known).to(vec.dtype)
        sides = torch.stack([torch.einsum("bh,bhr->br", side, vec) for side in (liked, disliked)], dim=1)
        likeness = torch.einsum("bhr,bnr->bnh", vec, candidate)
        near = weighted(likeness, known, surprises(value, present, known), COLLABORATIVE_TAUS)
        return torch.cat([agreement(sides.unsqueeze(2), candidate.unsqueeze(2)), near], dim=-1)

    def _anchors(self, batch: dict[str, Tensor], item: Tensor) -> dict[str, Tensor]:
        """Anchor values against the usual, at anchors like the candidate."""
        values = batch["user_anchors"].float()
        known = values > 0
        above = (values - self.anchor_means) * known
        level = above.sum(-1, keepdim=True) / known.sum(-1, keepdim=True).clamp(min=1)  # [B, 1]
        centred = (above - level) * known
        knowledge = torch.einsum("afd,bnfd->bna", self.anchor_vec, item) / item.shape[2]
        index = batch["item_index"].long()
        itself = (index.unsqueeze(-1) == self.anchor_index).to(centred.dtype)
        return {
            "anchors_level": level.unsqueeze(1).expand(-1, item.shape[1], -1),
            "anchors_knowledge": weighted(knowledge, known, centred, TAUS),
            "anchors_collaborative": weighted(self.anchor_likeness[index], known, centred, COLLABORATIVE_TAUS),
            "anchors_itself": torch.einsum("bna,ba->bn", itself, centred).unsqueeze(-1),
        }

    def _level(self, batch: dict[str, Tensor], count: int) -> Tensor:
        index = batch["hist_index"].long()
        usual = self._middle + self.items[index][..., 0]
        observed = Observed.values(batch["hist_value"].float() - usual, index > 0)
        none = torch.zeros(len(index), 1, 1, device=index.device)
        return posterior(observed, none, none).unsqueeze(-1).expand(-1, count, -1)

    def _regressions(self, batch: dict[str, Tensor], item: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        index = batch["hist_index"].long()
        vec, taste = batch["hist_vec"].float().flatten(2), self.taste[index]
        usual = self._middle + self.items[index][..., 0]
        own = observed = Observed.values(batch["hist_value"].float() - usual, index > 0)
        anchors, anchor_taste = self.anchor_vec[:0].flatten(1), self.taste[:0]
        if any(name.startswith("anchored") for name in names):
            # Expected likes and dislikes are two more items, of which only the texts' mean is known.
            means = batch["user_expected"].float().flatten(2)
            observed = own.and_said(
                means.new_tensor(EXPECTED_SURPRISE).expand(len(means), -1), means.abs().amax(-1) > 0, EXPECTED_NOISE
            )
            vec, taste = torch.cat([vec, means], dim=1), torch.cat([taste, means @ self.told_taste], dim=1)
            values = batch["user_anchors"].float()
            observed = observed.and_said(values - self.anchor_means, values > 0, ANCHOR_NOISE)
            anchors, anchor_taste = self.anchor_vec.flatten(1), self.taste[self.anchor_index.long().clamp(min=0)]
        told = likeness(vec, anchors, item.flatten(2), KNOWLEDGE / item.shape[2])
        shared = likeness(taste, anchor_taste, self.taste[batch["item_index"].long()])
        both = (told[0] + shared[0], told[1] + shared[1])
        known = index.shape[1]
        columns = {}
        for name in names:
            among, between = {"collaborative": shared, "knowledge": told}.get(name.rpartition("_")[2], both)
            if name.startswith("taste"):
                columns[name] = posterior(own, among[:, :known, :known], between[..., :known])
            else:
                columns[name] = posterior(observed, among, between)
        return {name: column.unsqueeze(-1) for name, column in columns.items()}


def _gates(batch: dict[str, Tensor], dtype: torch.dtype) -> Tensor:
    """What may be seen, [B, N, 11], in the order of the constants above."""
    user = batch["user_mask"].to(dtype)
    item = batch["item_mask"].to(dtype)
    known_id = (batch["item_index"] > 1).to(dtype)
    shown = torch.ones_like(item)
    gates = [
        user[:, HISTORY, None] * item,
        user[:, EXPERIENCED, None] * item,
        user[:, EXPECTED, None] * item,
        user[:, EXPECTED, None] * shown,
        user[:, EXPECTED, None] * known_id,
        user[:, HISTORY, None] * shown,
        user[:, HISTORY, None] * known_id,
        known_id,
        user[:, HISTORY, None] * item * known_id,
        user[:, HISTORY, None] * user[:, EXPECTED, None] * item,
        user[:, HISTORY, None] * user[:, EXPECTED, None] * item * known_id,
    ]
    return torch.stack(gates, dim=-1)
