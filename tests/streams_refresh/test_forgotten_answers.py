"""Cached LLM answers about a forgotten user go, also one that was on its way while the user was forgotten."""

from datetime import UTC, datetime

import pytest

from feature_repo.offline import OfflineBuffer
from knowledge.cache import AnswerCache, CachedAnswer
from knowledge.prompt_index import PromptIndex
from streams.compaction import Compactor
from streams.forget import Forgetting
from streams.settings import StreamSettings
from streams.state import ForgetArrival
from tests.streams_refresh.refresher_world import TOPIC

pytestmark = pytest.mark.services
LISTED, NAMED, LATE, OTHERS = (letter * 64 for letter in "abcd")


@pytest.fixture
def answers(tmp_path):
    cache = AnswerCache(tmp_path / "answers")
    for key in (LISTED, NAMED, OTHERS):
        keep(cache, key)
    index = PromptIndex(cache)
    index.add("u", LISTED)
    index.add("v", OTHERS)
    return cache, index


@pytest.fixture
def forgetting(world, namespace, answers, monkeypatch):
    monkeypatch.setattr("streams.forget.time.time", lambda: 0.0)  # so that the second deletion is due at once
    made = Forgetting(
        world.client, namespace, world.store, world.writer, world.due, StreamSettings(), answers[1].forget
    )
    world.store.update("u", 0, prompt_hashes=[NAMED])
    made.forget(ForgetArrival("u", TOPIC, 0, 99))
    monkeypatch.undo()
    return made


def keep(cache, key):
    cache.put(key, CachedAnswer({"factors": {}}, "m", datetime(2026, 1, 1, tzinfo=UTC), 1, 0, 1))


def test_what_the_state_names_and_what_is_listed_goes_and_what_others_have_stays(forgetting, answers):
    cache, index = answers
    assert [cache.get(key) is None for key in (LISTED, NAMED, OTHERS)] == [True, True, False]
    assert (index.keys("u"), index.keys("v")) == ((), (OTHERS,))


def test_an_answer_that_came_after_the_forgetting_goes_with_the_second_deletion(forgetting, answers):
    cache, index = answers
    keep(cache, LATE)
    index.add("u", LATE)
    assert forgetting.again() == 1
    assert (cache.get(LATE), index.keys("u")) == (None, ())


async def test_the_compactor_erases_it_too_where_no_events_arrive(forgetting, answers, world, namespace, tmp_path):
    cache, index = answers
    keep(cache, LATE)
    index.add("u", LATE)
    offline = OfflineBuffer(tmp_path / "offline")
    await Compactor(world.client, namespace, offline, 60, keep_versions_s=0, erase=index.forget).round()
    assert (cache.get(LATE), index.keys("u")) == (None, ())
