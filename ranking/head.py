"""The matching head: how a candidate agrees with what a user experienced, did recently, and is expected to like.

Works on prestored vectors alone, for any backbone. Inputs are the tensors of the design, "Serving"; B users, N
candidates, F factors, d numbers each. Its columns come in groups (`widths`), of which a ranker has those that its
shape names. torch and the standard library only: it runs in the Triton environment.
"""

import torch
from torch import Tensor, nn

from ranking.matching import Pairs, Seen, agreement, by_factor, hidden, mean_agreement, smoothed, unit
from ranking.regression import KNOWLEDGE, REGRESSIONS, Observed, Space, expected_surprise, guesses, needs
from ranking.shape import RankerShape

# Temperatures of the kernels over knowledge and over collaborative vectors; the kernels beside them are
# `matching.SHARPER` times sharper.
TAU, COLLABORATIVE_TAU = 0.15, 0.3
_KERNELS = 2
HISTORY, EXPERIENCED, EXPECTED, SUMMARY = range(4)  # places in user_mask

_CLAMP = 5.0

# What must be there for a group to be shown: places in user_mask, then the item's vector, then its id.
_ITEM, _ID = 4, 5
_SHOWN_WITH = {
    "experienced": (EXPERIENCED, _ITEM),
    "expected": (EXPECTED, _ITEM),
    "neighbourhood": (HISTORY, _ITEM),
    "experienced_mean": (EXPERIENCED, _ITEM),
    "neighbourhood_mean": (HISTORY, _ITEM),
    "anchors_level": (EXPECTED,),
    "anchors_knowledge": (EXPECTED, _ITEM),
    "anchors_collaborative": (EXPECTED, _ID),
    "anchors_itself": (EXPECTED, _ID),
    "statistics": (HISTORY,),
    "since": (EXPECTED,),
    "collaborative": (HISTORY, _ID),
    "items": (_ID,),
    "level": (HISTORY,),
    "taste_knowledge": (HISTORY, _ITEM),
    "taste_collaborative": (HISTORY, _ID),
    "taste": (HISTORY, _ITEM, _ID),
    "anchored_knowledge": (HISTORY, EXPECTED, _ITEM),
    "anchored": (HISTORY, EXPECTED, _ITEM, _ID),
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
    return {
        "experienced": 2 * factors,
        "expected": 2 * factors,
        "neighbourhood": _KERNELS * (factors + 1),
        "experienced_mean": 2,
        "neighbourhood_mean": _KERNELS,
        "anchors_level": 1,
        "anchors_knowledge": _KERNELS,
        "anchors_collaborative": _KERNELS,
        "anchors_itself": 1,
        "statistics": statistics - 1,
        "since": 1,
        "collaborative": 2 + _KERNELS,
        "items": 2,
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
    needed: Tensor

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        width = widths(shape.factors, shape.statistics)
        self.groups = shape.groups
        columns = [name for name in shape.groups for _ in range(width[name])]
        self.width = len(columns) + 5
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
        self.register_buffer("mean", torch.zeros(len(columns)))
        self.register_buffer("scale", torch.ones(len(columns)))
        needed = [[float(place in _SHOWN_WITH[name]) for name in columns] for place in range(_ID + 1)]
        self.register_buffer("needed", torch.tensor(needed), persistent=False)

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """Raw features f32[B, N, K] of all groups, whatever the masks say."""
        columns = self.columns(batch, self.groups)
        return torch.cat([columns[name] for name in self.groups], dim=-1)

    def columns(self, batch: dict[str, Tensor], groups: tuple[str, ...]) -> dict[str, Tensor]:
        """Raw columns [B, N, width] of each of `groups`; what none of them needs is neither read nor computed."""
        seen, wanted = Seen(batch, self.get_buffer), frozenset(groups)
        columns: dict[str, Tensor] = {}
        pairs: dict[str, Pairs] = {}
        if "experienced" in wanted:
            columns["experienced"] = agreement(batch["user_experienced"].float(), seen.unit)
        if "experienced_mean" in wanted:
            columns["experienced_mean"] = mean_agreement(batch["user_experienced"].float(), seen.unit)
        if "expected" in wanted:
            columns["expected"] = agreement(batch["user_expected"].float(), seen.unit)
        if wanted & {"neighbourhood", "neighbourhood_mean"}:
            pairs |= self._neighbourhood(seen, wanted)
        if "collaborative" in wanted:
            columns["collaborative"], pairs["collaborative"] = self._collaborative(seen)
        if any(name.startswith("anchors") for name in wanted):
            self._anchors(seen, wanted, columns, pairs)
        for name, smooth in smoothed(pairs).items():
            columns[name] = torch.cat([columns[name], smooth], dim=-1) if name in columns else smooth
        if "items" in wanted:
            columns["items"] = seen.rows("items")[1]
        regressions = tuple(name for name in REGRESSIONS if name in wanted)
        if regressions:
            columns |= self._regressions(seen, regressions)
        if wanted & {"statistics", "since"}:
            stats = batch["user_stats"].float().unsqueeze(1).expand(-1, seen.count, -1)
            columns["statistics"], columns["since"] = stats[..., :-1], stats[..., -1:]
        return {name: columns[name] for name in groups}

    def forward(self, batch: dict[str, Tensor], features: Tensor | None = None) -> Tensor:
        """f32[B, N, width]: standardised features (`features` if they are known already), and the masks."""
        raw = self.features(batch) if features is None else features
        masks = self._masks(batch, raw.dtype)
        standard = ((raw - self.mean) / self.scale).clamp(-_CLAMP, _CLAMP)
        missing = torch.matmul(1 - masks, self.needed)  # how many of the parts that a column needs
        return torch.cat([standard.masked_fill(missing > 0, 0.0), masks[..., :_ID]], dim=-1)

    def _masks(self, batch: dict[str, Tensor], dtype: torch.dtype) -> Tensor:
        """What is there, [B, N, 6]: the parts of `user_mask`, the item's vector, its id."""
        user, index = batch["user_mask"].to(dtype), batch["item_index"]
        item = torch.stack([batch["item_mask"].to(dtype), (index > 1).to(dtype)], dim=-1)
        return torch.cat([user.unsqueeze(1).expand(-1, index.shape[1], -1), item], dim=-1)

    def _neighbourhood(self, seen: Seen, wanted: frozenset[str]) -> dict[str, Pairs]:
        """The user's own surprises at items like the candidate by texts: per factor, and by the factors' mean."""
        known = seen.known(seen.vec)
        surprise, apart = seen.surprise * known, hidden(known)
        pairs = {}
        if "neighbourhood" in wanted:
            likeness = by_factor(seen.vec, seen.item) / TAU + apart.unsqueeze(1)
            pairs["neighbourhood"] = Pairs(likeness.unbind(1), surprise)
        if "neighbourhood_mean" in wanted:
            scale = 2.0 / seen.item.shape[2] / TAU
            likeness = torch.baddbmm(apart, seen.item.flatten(2), seen.vec.transpose(1, 2), alpha=scale)
            pairs["neighbourhood_mean"] = Pairs((likeness,), surprise)
        return pairs

    def _collaborative(self, seen: Seen) -> tuple[Tensor, Pairs]:
        """Cosines with the sums of liked and of disliked history items, and surprises at items like the candidate."""
        vec, candidate = seen.rows("collaborative")
        known, liked = seen.known(vec), seen.value > self._middle
        sides = torch.bmm((torch.stack([liked, ~liked], dim=1) & known.unsqueeze(1)).to(vec.dtype), vec)
        likeness = torch.baddbmm(hidden(known), candidate, vec.transpose(1, 2), alpha=1 / COLLABORATIVE_TAU)
        return mean_agreement(sides.unsqueeze(2), unit(candidate)), Pairs((likeness,), seen.surprise * known)

    def _anchors(self, seen: Seen, wanted: frozenset[str], columns: dict[str, Tensor], pairs: dict[str, Pairs]) -> None:
        """Anchor values against the usual, at anchors like the candidate, into `columns` or `pairs`."""
        values = seen.batch["user_anchors"].float()
        known = values > 0
        above = (values - self.anchor_means) * known
        level = above.sum(-1, keepdim=True) / known.sum(-1, keepdim=True).clamp(min=1)  # [B, 1]
        centred, apart = (above - level) * known, hidden(known)
        columns["anchors_level"] = level.unsqueeze(1).expand(-1, seen.count, -1)
        if "anchors_knowledge" in wanted:
            likeness = torch.matmul(seen.item.flatten(2), self.anchor_vec.flatten(1).T)
            pairs["anchors_knowledge"] = Pairs((apart.add(likeness, alpha=1 / seen.item.shape[2] / TAU),), centred)
        if "anchors_collaborative" in wanted:
            likeness = seen.rows("anchor_likeness")[1]
            pairs["anchors_collaborative"] = Pairs((apart.add(likeness, alpha=1 / COLLABORATIVE_TAU),), centred)
        if "anchors_itself" in wanted:
            itself = seen.batch["item_index"].unsqueeze(-1) == self.anchor_index
            columns["anchors_itself"] = (itself * centred.unsqueeze(1)).sum(-1, keepdim=True)

    def _regressions(self, seen: Seen, names: tuple[str, ...]) -> dict[str, Tensor]:
        told, shared, said = needs(names)
        surprise, present = seen.value - self._middle - seen.rows("items")[0][..., 0], seen.present
        expected = 0
        if said:
            # Expected likes and dislikes are two more items, of which only the texts' mean is known.
            means = seen.batch["user_expected"].float().flatten(2)
            expected = means.shape[1]
            anchors = seen.batch["user_anchors"].float()
            likes = expected_surprise(means.device).expand(len(means), -1)
            surprise = torch.cat([surprise, likes, anchors - self.anchor_means], dim=1)
            present = torch.cat([present, torch.linalg.vector_norm(means, dim=-1) > 0, anchors > 0], dim=1)
        spaces = {}
        if told:
            observed = seen.vec
            if said:
                observed = torch.cat([seen.vec, means, self.anchor_vec.flatten(1).expand(len(means), -1, -1)], dim=1)
            spaces["told"] = Space(observed, seen.item.flatten(2), KNOWLEDGE / seen.item.shape[2])
        if shared:
            observed, candidates = seen.rows("taste")
            if said:
                anchor = self.taste[self.anchor_index.clamp(min=0)].expand(len(means), -1, -1)
                observed = torch.cat([observed, torch.matmul(means, self.told_taste), anchor], dim=1)
            spaces["shared"] = Space(observed, candidates)
        return guesses(names, Observed(surprise, present, seen.history, expected), spaces, seen.count)
