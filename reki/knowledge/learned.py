"""One batch of a bulk run on its way to Feast, and what became of it."""

from collections import Counter
from dataclasses import dataclass

from knowledge.base import Knowledge


@dataclass(frozen=True)
class Learned:
    """One entity's new knowledge, the name of its answer in the cache, and the life of the user that it is about."""

    knowledge: Knowledge
    prompt_hash: str | None = None
    epoch: int = 0


@dataclass(frozen=True)
class Written:
    """What became of a batch: outcomes by word, who was forgotten meanwhile, and messages for `feature-updates`."""

    outcomes: Counter[str]
    forgotten: tuple[str, ...] = ()
    updates: tuple[tuple[str, bytes], ...] = ()
