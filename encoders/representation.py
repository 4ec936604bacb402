"""What is clustered: users by what they have experienced, items by their title and genres or by what is known of them.

No LLM call is needed for any of it, so that a new or changed entity finds its clusters at once. numpy only, but for
the encoder that is passed in.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from encoders.text_cache import Encoder, EncodingCache
from knowledge.base import ItemProfile

Vectors = npt.NDArray[np.float32]


# Half: what somebody does not like is often only so-so, and sets people less apart. Tried once by the measure of
# `benchmarks/collective.py`, which does not compare weights itself.
DISLIKED_WEIGHT = 0.5


def user_representation(experienced: Vectors, disliked_weight: float = DISLIKED_WEIGHT) -> Vectors:
    """Users' experienced vectors f32[n, 2, F, d] as unit rows f32[n, 2 F d]; zeros for a user without any.

    The sums' directions count, not how many events stand behind each: both sides to length 1, then the disliked one
    times its weight.
    """
    sides = unit(experienced.reshape(len(experienced), 2, -1).astype(np.float32))
    weights = np.array([1.0, disliked_weight], dtype=np.float32)
    return unit((sides * weights[:, None]).reshape(len(sides), -1))


def item_representation(vectors: Vectors) -> Vectors:
    """Items' knowledge vectors f32[n, F, d] (a release's) as unit rows f32[n, F d]; zeros where nothing is known."""
    return unit(vectors.reshape(len(vectors), -1).astype(np.float32))


def title_representation(profiles: Sequence[ItemProfile], encoder: Encoder, cache: EncodingCache) -> Vectors:
    """Items' titles and genres as unit rows f32[n, dim]: for items of which no knowledge is held yet."""
    return cache.encode(encoder, [profile_text(profile.title, profile.fields) for profile in profiles])


def profile_text(title: str, fields: Mapping[str, str]) -> str:
    """The text of an item that has only a profile: the title and, where there are some, the genres."""
    genres = fields.get("genres") or fields.get("category") or ""
    return f"{title}. {genres}." if genres else f"{title}."


def unit(rows: Vectors) -> Vectors:
    """Rows to length 1 along the last axis; zeros stay zeros."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Vectors = (rows / np.where(length > 0, length, 1.0)).astype(np.float32)
    return scaled
