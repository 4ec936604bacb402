"""From factor texts to what is prestored: sentence encoder, then HEIN."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from encoders.hein import Hein
from encoders.text_cache import Encoder, EncodingCache

Vectors = npt.NDArray[np.float32]


def encode_factors(
    texts: Sequence[Mapping[str, str]], factors: Sequence[str], encoder: Encoder, cache: EncodingCache
) -> tuple[Vectors, Vectors]:
    """Text vectors f32[n, F, dim] and mask f32[n, F]; an empty or absent factor is zeros with mask 0."""
    places = [
        (row, column)
        for row, entity in enumerate(texts)
        for column, name in enumerate(factors)
        if entity.get(name, "").strip()
    ]
    vectors = np.zeros((len(texts), len(factors), encoder.dim), dtype=np.float32)
    mask = np.zeros((len(texts), len(factors)), dtype=np.float32)
    if places:
        rows, columns = np.array(places).T
        vectors[rows, columns] = cache.encode(encoder, [texts[row][factors[column]] for row, column in places])
        mask[rows, columns] = 1.0
    return vectors, mask


class Condenser:
    """One release's way from texts to vectors. Blocks while it encodes: keep it off an event loop."""

    def __init__(self, hein: Hein, factors: Sequence[str], encoder: Encoder, cache: EncodingCache) -> None:
        self._hein = hein.eval()
        self._factors = tuple(factors)
        self._encoder = encoder
        self._cache = cache

    def items(self, texts: Sequence[Mapping[str, str]]) -> tuple[Vectors, Vectors]:
        """Items' texts (factor -> text) to vectors f32[n, F, d] and summaries f32[n, 32].

        A factor without text is zeros; an item without any text has zeros for a summary.
        """
        vectors, mask = encode_factors(texts, self._factors, self._encoder, self._cache)
        with torch.inference_mode():
            vec, summary = self._hein.item(torch.from_numpy(vectors), torch.from_numpy(mask))
        return vec.numpy(), _blank(summary.numpy(), mask)

    def users(self, texts: Sequence[Mapping[str, str]]) -> Vectors:
        """Users' texts (factor -> text) to summaries f32[n, 32]; zeros for a user without any text."""
        vectors, mask = encode_factors(texts, self._factors, self._encoder, self._cache)
        with torch.inference_mode():
            summary = self._hein.user(torch.from_numpy(vectors), torch.from_numpy(mask))
        return _blank(summary.numpy(), mask)


def _blank(summary: Vectors, mask: Vectors) -> Vectors:
    # Experts answer nothing with their biases: readers take a summary of zeros for "no knowledge".
    return summary * mask.any(axis=1, keepdims=True)
