"""What the refresh tests are built from: a source that counts its calls, a condenser without a model, loaded users."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from feature_repo.schema import DIM, FACTORS, SUMMARY
from knowledge.base import Expectations, ItemProfile, Knowledge, KnowledgeMode, Polarity, RekiError
from knowledge.catalogue import recorded_catalogue
from knowledge.requests import Extraction, UserRequest
from streams.backfill import ItemToLoad, LoadedEvent, UserToLoad

START = datetime(2026, 1, 1, tzinfo=UTC)
_CATALOGUE = recorded_catalogue()
ANCHOR_IDS = _CATALOGUE.anchors
# The anchors and twenty more that an LLM may name.
ITEMS = [*ANCHOR_IDS, *[item for item in _CATALOGUE.trimmed(300).shortlist if item not in ANCHOR_IDS][:20]]
RELEASE = "0123456789ab"
SHAPE = (FACTORS, DIM)


def _numbers(texts: Mapping[str, str], width: int) -> np.ndarray:
    seed = hashlib.sha256(repr(sorted(texts.items())).encode()).digest()
    return np.random.default_rng(list(seed)).standard_normal(width).astype(np.float32)


class HashCondenser:
    """Texts to vectors by their hash: deterministic, of the right shapes, without a model."""

    def users(self, factors: Sequence[Mapping[str, str]]) -> np.ndarray:
        return np.stack([_numbers(texts, SUMMARY) for texts in factors])

    def items(self, factors: Sequence[Mapping[str, str]]) -> tuple[np.ndarray, np.ndarray]:
        vecs = np.stack([_numbers(texts, FACTORS * DIM).reshape(SHAPE) for texts in factors])
        return vecs, np.stack([_numbers(texts, SUMMARY) for texts in factors])


def knowledge(user: str, source_rev: int, model: str = "test-llm") -> Knowledge:
    return Knowledge(
        entity="user",
        entity_id=user,
        factors={"genre": f"{user} after {source_rev} events"},
        expectations=Expectations(
            likes=tuple(ITEMS[40:42]), dislikes=(ITEMS[42],), anchors={ITEMS[0]: 4.0, ITEMS[20]: 3.0}
        ),
        mode=KnowledgeMode.INDIVIDUAL,
        model=model,
        template_version="t1",
        catalogue_version="c1",
        source_rev=source_rev,
        source_through=START + timedelta(seconds=source_rev),
        generated_at=START,
        tokens_in=100,
        tokens_cached=60,
        tokens_out=50,
    )


class CountingSource:
    """Answers at once (or when `gate` opens) and remembers every request; answers prepared in `answers` come first."""

    def __init__(self) -> None:
        self.requests: list[UserRequest] = []
        self.answers: list[Knowledge | RekiError] = []
        self.gate: asyncio.Event | None = None
        self.active = self.peak = 0

    async def user(self, request: UserRequest) -> Extraction:
        self.requests.append(request)
        self.active += 1
        self.peak = max(self.peak, self.active)
        try:
            if self.gate is not None:
                await self.gate.wait()
            answer = self.answers.pop(0) if self.answers else knowledge(request.user_id, request.source_rev)
        finally:
            self.active -= 1
        if isinstance(answer, RekiError):
            raise answer
        return Extraction(answer, f"hash-{request.user_id}-{request.source_rev}", True)

    async def item(self, profile: ItemProfile) -> Extraction:
        raise NotImplementedError

    async def close(self) -> None:
        pass


def items() -> list[ItemToLoad]:
    return [
        ItemToLoad(
            ItemProfile(item_id=item, title=f"Film {item}", fields={"year": "1995", "studio": "unlisted"}),
            Knowledge(
                entity="item",
                entity_id=item,
                factors={"genre": f"genre of {item}"},
                mode=KnowledgeMode.RECORDED,
                model="test-llm",
                template_version="t1",
                catalogue_version="c1",
                source_rev=0,
                generated_at=START,
            ),
        )
        for item in ITEMS
    ]


def user(name: str, events: int, known: bool = True) -> UserToLoad:
    history = [
        LoadedEvent(
            item_id=ITEMS[number % 40],
            value=4.0 if number % 2 else 2.0,
            polarity=Polarity.LIKED if number % 2 else Polarity.DISLIKED,
            occurred_at=START + timedelta(seconds=number),
        )
        for number in range(events)
    ]
    return UserToLoad(name, history, {"age": "30"}, knowledge(name, events) if known else None)
