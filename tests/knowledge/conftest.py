"""A small catalogue of invented films, one user, one good answer, and the misbehaving server."""

import pytest
from knowledge_parts import START, TITLES, LlmServer, entry

from knowledge.base import Knowledge
from knowledge.catalogue import Catalogue
from knowledge.scenario import load_scenario
from knowledge.settings import KnowledgeSettings
from knowledge.source import UserRequest


@pytest.fixture
async def server():
    server = await LlmServer().start()
    yield server
    await server.stop()


@pytest.fixture
def settings(server, tmp_path):
    """Settings that fail fast."""
    return KnowledgeSettings(
        llm="openai",
        llm_base_url=server.base_url,
        llm_model="fake",
        llm_deadline_s=5,
        llm_retries=2,
        llm_backoff_s=0.01,
        knowledge_cache_dir=tmp_path / "answers",
    )


@pytest.fixture
def scenario():
    return load_scenario("films")


@pytest.fixture
def titles():
    return dict(TITLES)


@pytest.fixture
def catalogue():
    """Anchors 1 to 4; shortlist 1 to 24."""
    return Catalogue("test-1", ("1", "2", "3", "4"), tuple(TITLES))


@pytest.fixture
def request_of():
    """Builds a `UserRequest` of a person who liked films 5 and 6 and disliked 7."""

    def build(user_id="user-7f3a", history=None, previous=None, profile=None, generation=1):
        history = history or (entry("5", 4, 0), entry("7", 1, 1), entry("6", 5, 2))
        return UserRequest(
            user_id=user_id,
            profile=profile if profile is not None else {"age": "24", "gender": "F", "occupation": "artist"},
            history=tuple(history),
            source_rev=len(history),
            source_through=max(e.occurred_at for e in history),
            previous=previous,
            generation=generation,
        )

    return build


@pytest.fixture
def previous():
    """Knowledge after the first two events."""
    return Knowledge(
        entity="user",
        entity_id="user-7f3a",
        factors={"genre": "Likes quiet dramas", "soundtrack": "Piano"},
        mode="individual",
        model="fake-1",
        template_version="films-user-1",
        catalogue_version="test-1",
        source_rev=2,
        generated_at=START,
    )


@pytest.fixture
def good(scenario):
    """A valid answer about a user, for the small catalogue."""
    return {
        "factors": {name: f"On {name}, warm" for name in scenario.factors},
        "likes": [str(n) for n in range(8, 18)],
        "dislikes": ["18", "19", "20", "21", "22", "23", "24", "1", "2", "3"],
        "anchors": {"1": 5, "2": 4, "3": 2, "4": 1},
    }
