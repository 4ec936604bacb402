"""What training reads before anything is fitted: ratings, recorded knowledge, and encodings of all texts."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from encoders.condense import encode_factors
from encoders.hein import Hein, HeinShape, centre
from encoders.sentence import SentenceEncoder
from encoders.text_cache import EncodingCache
from knowledge.recorded import RecordedStore
from knowledge.scenario import load_scenario
from ranking.datasets.movielens import MovieLens, load

Progress = Callable[[int, int], None]
Encoded = tuple[Tensor, Tensor]  # texts f32[n, F, text_dim], mask f32[n, F]


@dataclass(frozen=True)
class Sources:
    """Data and recorded knowledge of one data set."""

    data: MovieLens
    store: RecordedStore

    @classmethod
    def load(cls, folder: Path | str) -> "Sources":
        """Read them; raises `TerminalError` for missing or damaged files."""
        data = load(folder)
        histories = {user: [rating.item_id for rating in own] for user, own in data.by_user().items()}
        return cls(data, RecordedStore.load(histories=histories))

    def vocabulary(self, training: Collection[str]) -> dict[str, int]:
        """Index of each item that training users touched, from 2; any other is `unknown`: it would be noise."""
        users = set(training)
        touched = {rating.item_id for rating in self.data.ratings if rating.user_id in users}
        return {item: index for index, item in enumerate((i for i in self.data.items if i in touched), start=2)}

    def anchor_means(self, training: Sequence[str]) -> tuple[float, ...]:
        """The LLM's mean value per anchor over training users; 0 where none has one."""
        known = self.store.users()
        records = [known[user].expectations for user in training if user in known]
        means = []
        for anchor in self.store.catalogue.anchors:
            values = [e.anchors[anchor] for e in records if e is not None and anchor in e.anchors]
            means.append(round(float(np.mean(values)), 6) if values else 0.0)
        return tuple(means)


@dataclass(frozen=True)
class Texts:
    """Encodings of the texts of items (in the order of the data set) and of users (in that of the samples)."""

    encoder_id: str
    items: Encoded
    users: Encoded


def encode_texts(
    sources: Sources, users: Sequence[str], encodings: Path, encoder_id: str = "auto", progress: Progress | None = None
) -> Texts:
    """Encode the factor texts of all items and of `users` (their first record); cached, so mostly a look-up."""
    encoder, cache = SentenceEncoder(encoder_id), EncodingCache(encodings)
    known = sources.store.users()
    sides = [[sources.store.items().get(item, {}) for item in sources.data.items], [known[u].factors for u in users]]
    texts = [text for side in sides for factors in side for text in factors.values() if text.strip()]
    cache.encode(encoder, texts, progress)
    names = load_scenario("films").factors
    items, people = (_tensors(side, names, encoder, cache) for side in sides)
    return Texts(encoder.encoder_id, items, people)


TITLE_FACTORS = ("title", "genres", "title_and_genres")


def encode_titles(sources: Sources, encodings: Path, encoder_id: str = "auto") -> Encoded:
    """Encodings of what is known of items without any LLM, as if they were three factors."""
    encoder, cache = SentenceEncoder(encoder_id), EncodingCache(encodings)
    texts: list[Mapping[str, str]] = []
    for profile in sources.data.items.values():
        genres = profile.fields.get("genres", "")
        texts.append({"title": profile.title, "genres": genres, "title_and_genres": f"{profile.title}. {genres}"})
    return _tensors(texts, TITLE_FACTORS, encoder, cache)


def item_space(items: Encoded, dim: int) -> Tensor:
    """Projected unit vectors f32[R, F, dim] by item row (row 0 = padding), in the principal axes of the texts."""
    texts, mask = items
    hein = Hein(HeinShape(factors=texts.shape[1], text_dim=texts.shape[2], dim=dim))
    hein.fit_space(texts, mask, texts, mask)
    with torch.no_grad():
        vec = hein.project(centre(texts, hein.item_mean, mask))
        return torch.cat([torch.zeros_like(vec[:1]), vec])


def _tensors(
    texts: Sequence[Mapping[str, str]], names: Sequence[str], encoder: SentenceEncoder, cache: EncodingCache
) -> Encoded:
    vectors, mask = encode_factors(texts, names, encoder, cache)
    return torch.from_numpy(vectors), torch.from_numpy(mask)
