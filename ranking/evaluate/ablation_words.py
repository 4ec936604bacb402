"""Vectors of texts by their words alone, in a sentence encoder's place: TF-IDF, then a truncated SVD (LSA)."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from ranking.sources import Encoded

WIDTH = 384  # as wide as the sentence encoder
_SEED = 0


def word_vectors(
    texts: Sequence[Mapping[str, str]], factors: Sequence[str], training: Collection[int], width: int = WIDTH
) -> Encoded:
    """Unit vectors f32[n, F, width] of factor texts and mask f32[n, F], fitted on the rows named in `training`."""
    places = [
        (row, column)
        for row, own in enumerate(texts)
        for column, name in enumerate(factors)
        if own.get(name, "").strip()
    ]
    words = TfidfVectorizer(sublinear_tf=True, min_df=2)
    fitted = words.fit_transform([texts[row][factors[column]] for row, column in places if row in training])
    axes = TruncatedSVD(min(width, fitted.shape[1] - 1), random_state=_SEED).fit(fitted)
    made = axes.transform(words.transform([texts[row][factors[column]] for row, column in places]))
    length = np.linalg.norm(made, axis=1, keepdims=True)
    vectors = torch.zeros(len(texts), len(factors), made.shape[1])
    mask = torch.zeros(len(texts), len(factors))
    rows, columns = (torch.tensor(side, dtype=torch.int64) for side in zip(*places, strict=True))
    vectors[rows, columns] = torch.from_numpy((made / np.where(length > 0, length, 1.0)).astype(np.float32))
    # A text of which no word is known says nothing.
    mask[rows, columns] = torch.from_numpy((length[:, 0] > 0).astype(np.float32))
    return vectors, mask
