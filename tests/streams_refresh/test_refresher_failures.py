"""Whatever the LLM server does, the knowledge in force stays online and offline, and the state as it was."""

import sys
from pathlib import Path

import pytest

from knowledge.base import RekiError, TerminalError, TransientError
from knowledge.cache import AnswerCache
from knowledge.catalogue import recorded_catalogue
from knowledge.client import LlmClient
from knowledge.live import LiveSource
from knowledge.scenario import load_scenario
from knowledge.settings import KnowledgeSettings
from tests.streams_refresh.parts import ITEMS

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "knowledge"))

from failure_table import FAILURES, break_it
from knowledge_parts import LlmServer

pytestmark = pytest.mark.services


def rows(world):
    """Everything that is stored about the user, but the note of the failed request."""
    state = world.store.read("u")
    online = [world.reader.read(view, ["u"], None, slot)[0] for view, slot in STORED]
    offline = [world.offline_row("u", view) for view in ("user_knowledge", "user_expected_blue")]
    return str((state, online, offline))


STORED = (("user_knowledge", None), ("user_expected", "blue"))


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
async def test_the_previous_knowledge_is_untouched(world, tmp_path, failure):
    server = await LlmServer().start()
    settings = KnowledgeSettings(
        llm="openai",
        llm_base_url=server.base_url,
        llm_model="m",
        llm_deadline_s=failure.deadline_s,
        llm_retries=1,
        llm_backoff_s=0.01,
    )
    catalogue = recorded_catalogue().trimmed(60)
    titles = {item: f"Film {item}" for item in (*ITEMS, *catalogue.shortlist)}
    cache = AnswerCache(tmp_path / "answers")
    world.refresher._source = LiveSource(  # noqa: SLF001 - the fixture's own source never fails by itself
        LlmClient(settings), load_scenario("films"), catalogue, titles, cache
    )
    before = rows(world)
    await break_it(server, failure)
    with pytest.raises(RekiError) as caught:
        await world.refresher.refresh(world.request())
    assert isinstance(caught.value, TransientError if failure.transient else TerminalError)
    assert caught.value.reason == failure.reason
    assert rows(world) == before
    assert world.announced == []
    await world.refresher._source.close()  # noqa: SLF001
    await server.stop()
