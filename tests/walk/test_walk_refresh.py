"""Users who have changed get new knowledge, recorded or from the live LLM; the others do not, and are told why."""

import json

import numpy as np
import pytest

from knowledge.base import Expectations
from serving.answer import UserFallback
from streams.await_applied import Applied, NotChanged, Tier
from tests.walk.cast import ENOUGH
from tests.walk.world import TIMEOUT_S, wait_until

pytestmark = pytest.mark.services


def _announced(world, user_id):
    updates = [json.loads(record.value) for record in world.records(world.names.feature_updates)]
    return [update for update in updates if update["entity_id"] == user_id]


def test_ten_events_bring_the_knowledge_that_was_recorded_for_them(world, refreshed):
    rev = refreshed.loaded + ENOUGH
    assert refreshed.outcome == Applied(rev, refreshed.outcome.waited_s)
    assert world.reader.revs("user_expected", [refreshed.user_id], "blue") == [rev]
    row = refreshed.knowledge
    recorded = {k.source_rev: k for k in world.cast.sample.recorded.refreshes(refreshed.user_id)}
    assert json.loads(row["knowledge_factors"]) == recorded[rev].factors
    assert json.loads(row["knowledge_factors"]) != recorded[refreshed.loaded].factors
    expected = Expectations.model_validate_json(row["knowledge_expectations"])
    assert expected.likes
    assert not set(expected.likes) & {e.item_id for e in world.states.read(refreshed.user_id).ring}


def test_the_answer_after_a_refresh_says_how_fresh_its_knowledge_is(refreshed):
    assert refreshed.experienced.events_since_knowledge == ENOUGH
    assert refreshed.after.events_since_knowledge == 0
    assert refreshed.after.knowledge_age_s < refreshed.before.knowledge_age_s
    assert refreshed.after.knowledge_age_s < 10
    assert refreshed.after.user_fallback == 0
    assert not np.array_equal(refreshed.before.scores, refreshed.experienced.scores)
    assert not np.array_equal(refreshed.experienced.scores, refreshed.after.scores), "new expectations move scores"


def test_a_refresh_is_announced_for_caches_downstream(world, refreshed):
    [update] = _announced(world, refreshed.user_id)
    assert update["source_rev"] == refreshed.loaded + ENOUGH
    assert set(update["views"]) == {"user_knowledge", "user_expected"}


def test_a_user_with_too_few_events_stays_unchanged_and_hears_the_reason(world):
    user_id = world.cast.changing[1]
    before = world.read("user_knowledge", user_id)
    token = world.publish(*world.cast.later(user_id, 4))[-1]
    outcome = world.waiter.wait(token, Tier.INDIVIDUAL, TIMEOUT_S)
    assert outcome == NotChanged("4 new events, 10 needed", world.cast.loaded(user_id) + 4)
    assert world.read("user_knowledge", user_id) == before
    assert world.recommend(user_id).events_since_knowledge == 4
    assert _announced(world, user_id) == []


def test_a_refresh_asked_for_by_hand_ends_with_its_reason(world):
    user_id = world.cast.changing[1]
    token = world.publish(*world.cast.later(user_id, 5)[4:])[-1]
    rev = world.states.read(user_id).rev
    assert "nothing newer" not in world.waiter.wait(token, Tier.INDIVIDUAL, TIMEOUT_S).reason
    said = world.command("refresh", user_id)
    assert f"new knowledge from {rev} events is asked for" in said
    assert "the recorded knowledge answers" in said
    wait_until(lambda: (world.states.read(user_id).refresh_outcome or {}).get("source_rev") == rev)
    assert "no_newer_record" in str(world.states.read(user_id).refresh_outcome)


def test_a_user_whose_knowledge_has_seen_everything_is_not_asked_about_again(world):
    states = world.states.read_many(world.cast.steady)
    user_id = next(state.user_id for state in states if 0 < state.rev <= state.refreshed_rev)
    assert "has seen all" in world.command("refresh", user_id)


def test_the_knowledge_of_a_live_llm_is_stored_and_shown_but_not_ranked_with(world, lived):
    rev = lived.loaded + ENOUGH
    assert lived.outcome == Applied(rev, lived.outcome.waited_s)
    row = lived.knowledge
    assert (row["knowledge_mode"], row["knowledge_rev"]) == ("individual", rev)
    assert row["knowledge_model"] == world.stack.settings.knowledge.model_name
    assert len(json.loads(row["knowledge_factors"])) == len(world.release.factors)
    assert Expectations.model_validate_json(row["knowledge_expectations"]).likes
    assert lived.before.user_fallback == 0
    assert lived.after.user_fallback == UserFallback.SOURCE_NOT_ACCEPTED
    assert lived.after.knowledge_version.startswith(row["knowledge_model"])
    assert lived.after.events_since_knowledge == 0


def test_an_answer_of_a_live_llm_is_announced_and_can_be_erased_later(world, lived):
    assert len(lived.prompt_hashes) == 1, "the state must name every cached answer about its user"
    [update] = _announced(world, lived.user_id)
    assert update["source_rev"] == lived.loaded + ENOUGH
