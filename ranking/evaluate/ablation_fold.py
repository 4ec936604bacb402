"""A fold whose columns under other inputs are computed one after the other: only those that change.

What the rows share (samples, encodings, and above all the collaborative tables, which no text enters) is made once.
"""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from knowledge.scenario import load_scenario
from ranking.collaborative import RANK, told_tastes
from ranking.columns import Columns, set_anchors, without_own_ratings
from ranking.evaluate.ablation_changes import ALL, Change
from ranking.evaluate.ablation_clusters import assembled, recorded_clusters, users, with_knowledge
from ranking.evaluate.ablation_words import word_vectors
from ranking.fold import HISTORY, RING, Fold, FoldMaterial, build_fold, fold_users
from ranking.head import MatchingHead, widths
from ranking.inputs import Ints, Samples, build_samples, index_of
from ranking.shape import RankerShape
from ranking.sources import Encoded, Sources, encode_texts, item_space
from ranking.split import UserSplit

_ROWS = 128  # at once: with 256 the regressions' matrices leave the cache, and it takes 1.4 times as long
_TABLES = ("collaborative", "taste", "items", "anchor_likeness")  # of ratings alone


class AblationFold:
    """One fold; `user`, `item` and `label` are those of its samples."""

    def __init__(self, data: Path, encodings: Path, cache: Path | None, fold: Fold, page_blind: bool = False) -> None:
        self.base = build_fold(data, encodings, cache, fold, page_blind)
        self.user, self.item, self.label = self.base.user, self.base.item, self.base.label
        self._data, self._encodings, self._fold, self._blind = data, encodings, fold, page_blind
        self._last: tuple[Change, FoldMaterial] | None = None

    def material(self, change: Change) -> FoldMaterial:
        """The fold's material with the columns that change; the last one is kept, for its next backbone and seed."""
        if self._last is None or self._last[0] != change:
            self._last = None  # free the memory before the next is made
            columns, item_vec = self.columns(change)
            changed = replace(self.base, columns={**self.base.columns, **columns}, item_vec=item_vec)
            self._last = change, changed
        return self._last[1]

    def columns(self, change: Change) -> tuple[Columns, Tensor]:
        """Columns f16[n, width] of the change's groups, and its items' vectors f32[R, F, d]."""
        samples, item_vec = self._changed_samples(change), self._item_vec(change)
        head = self._head(item_vec, change.groups)
        set_anchors(head, self._changed_sources(change), self._split.train, self._vocabulary, item_vec)
        known = torch.zeros(len(self._vocabulary) + 2, *item_vec.shape[1:])
        rows = {item: row for row, item in enumerate(samples.items, start=1)}
        for item, index in self._vocabulary.items():
            known[index] = item_vec[rows[item]]
        filler = _Filler(head, samples, item_vec, self._index)
        for numbers, tables in self._tables:
            for name, table in tables.items():
                head.get_buffer(name).copy_(table)
            head.told_taste.copy_(told_tastes(known, head.taste, head.items))
            filler.fill(numbers)
        return filler.columns, item_vec

    @cached_property
    def _sources(self) -> Sources:
        return Sources.load(self._data)

    @cached_property
    def _samples(self) -> Samples:
        return self._samples_of(self._sources, RING)

    def _samples_of(self, sources: Sources, ring: int) -> Samples:
        anchors, scenario = sources.store.catalogue.anchors, load_scenario("films")
        return build_samples(sources.data, sources.store.users(), anchors, scenario, ring, self._blind)

    @cached_property
    def _split(self) -> UserSplit:
        return fold_users(self._sources.data, self._fold)

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        return self._sources.vocabulary(self._split.train)

    @cached_property
    def _index(self) -> Tensor:
        return index_of(self._samples.items, self._vocabulary)

    @cached_property
    def _texts(self) -> Encoded:
        return encode_texts(self._sources, self._samples.users, self._encodings).items

    @cached_property
    def _tables(self) -> list[tuple[Ints, dict[str, Tensor]]]:
        """Sample numbers of each part of the users, and the tables in which their own ratings are not."""
        split, made = self._split, []
        head = self._head(self.base.item_vec, tuple(widths(1)))
        set_anchors(head, self._sources, split.train, self._vocabulary, self.base.item_vec)
        others = (*split.valid, *split.test)
        for part in without_own_ratings(head, self._sources, split.train, others, self._vocabulary, self.base.item_vec):
            made.append((self._samples.of(part), {name: head.get_buffer(name).clone() for name in _TABLES}))
        return made

    def _head(self, item_vec: Tensor, groups: tuple[str, ...]) -> MatchingHead:
        anchors = len(self._sources.store.catalogue.anchors)
        factors, dim = item_vec.shape[1:]
        size = len(self._vocabulary) + 2
        return MatchingHead(RankerShape(size, factors, dim, anchors=anchors, groups=groups, collaborative=RANK))

    def _item_vec(self, change: Change) -> Tensor:
        names = load_scenario("films").factors
        if change.without is not None:
            return self.base.item_vec[:, [name != change.without for name in names]].contiguous()
        if change.words:
            store, data = self._sources.store, self._sources.data
            known = {row for row, item in enumerate(data.items) if item in self._vocabulary}
            texts = word_vectors([store.items().get(item, {}) for item in data.items], names, known)
            return item_space(texts, self.base.item_vec.shape[2])
        return self.base.item_vec if change.dim is None else item_space(self._texts, change.dim)

    def _changed_sources(self, change: Change) -> Sources:
        if change.clusters is None:
            return self._sources
        items = zip(self._samples.items, self.base.item_vec[1:].numpy(), strict=True)
        people = users(self._sources.data, load_scenario("films"), dict(items), "fold")
        clusters, held = recorded_clusters("user", change.clusters, people)
        return with_knowledge(self._sources, assembled(held, clusters, people))

    def _changed_samples(self, change: Change) -> Samples:
        samples = self._samples
        if change.ring is not None:
            longest = max(map(len, self._sources.data.by_user().values()))
            samples = self._samples_of(self._sources, longest if change.ring == ALL else change.ring)
        if change.clusters is not None:
            other = self._samples_of(self._changed_sources(change), HISTORY)
            samples = replace(samples, likes=other.likes, anchors=other.anchors)
        if not change.likes:
            samples = replace(samples, likes=np.zeros_like(samples.likes))
        return samples if change.anchors else replace(samples, anchors=np.zeros_like(samples.anchors))


class _Filler:
    """The head's columns of samples, as `ranking.columns.fill`, from sums that are computed more cheaply.

    There every user's expectations and every sum over a history is a product with all items; tests compare the two.
    """

    def __init__(self, head: MatchingHead, samples: Samples, item_vec: Tensor, index: Tensor) -> None:
        self._head, self._samples, self._item_vec, self._index = head, samples, item_vec, index
        flat = item_vec.flatten(1)
        likes = torch.from_numpy(samples.likes)
        self._expected = (likes.flatten(0, 1) @ flat).reshape(len(likes), 2, *item_vec.shape[1:])
        self.columns: Columns = {}

    def fill(self, numbers: Ints) -> None:
        with torch.inference_mode():
            for start in range(0, len(numbers), _ROWS):
                chunk = numbers[start : start + _ROWS]
                made = self._head.columns(self._batch(chunk), self._head.groups)
                for name in self._head.groups:
                    values = made[name].squeeze(1).half()
                    if name not in self.columns:
                        empty = torch.zeros(len(self._samples), values.shape[1], dtype=torch.float16)
                        self.columns[name] = empty
                    self.columns[name][torch.from_numpy(chunk)] = values

    def _batch(self, numbers: Ints) -> dict[str, Tensor]:
        samples, item_vec = self._samples, self._item_vec
        user = torch.from_numpy(samples.user[numbers])
        batch = samples.ids(numbers, self._index, HISTORY)
        batch["user_experienced"] = self._experienced(numbers)
        batch["user_expected"] = self._expected[user]
        batch["user_anchors"] = torch.from_numpy(samples.anchors)[user]
        batch["user_stats"] = torch.from_numpy(samples.statistics(numbers))
        batch["hist_vec"] = item_vec[torch.from_numpy(samples.ring.item[numbers, :HISTORY].astype(np.int64))]
        batch["item_vec"] = item_vec[torch.from_numpy(samples.item[numbers])].unsqueeze(1)
        return batch

    def _experienced(self, numbers: Ints) -> Tensor:
        if "experienced_mean" not in self._head.groups:
            return torch.zeros(len(numbers), 2, *self._item_vec.shape[1:])
        item = torch.from_numpy(self._samples.ring.item[numbers].astype(np.int64))
        side = torch.from_numpy(self._samples.ring.side[numbers])
        sums = [
            fn.embedding_bag(item, self._item_vec.flatten(1), per_sample_weights=weight.float(), mode="sum")
            for weight in (side > 0, side < 0)
        ]
        return torch.stack(sums, dim=1).reshape(len(numbers), 2, *self._item_vec.shape[1:])
