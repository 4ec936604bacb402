"""An event goes in, and Triton's answer is another one that says how fresh it is."""

import math

import numpy as np
import pytest

from serving.answer import ItemFallback, UserFallback

pytestmark = pytest.mark.services


def test_every_event_changes_the_next_answer_and_is_counted(world):
    user_id = world.cast.steady[0]
    items = world.cast.candidates(user_id)
    last = world.recommend(user_id, items)
    assert last.user_fallback == 0
    assert last.events_since_knowledge == 0
    assert last.release == world.release.release_id
    for number, event in enumerate(world.cast.later(user_id, 3), start=1):
        world.publish(event)
        now = world.recommend(user_id, items)
        assert not np.array_equal(now.scores, last.scores)
        assert now.events_since_knowledge == number
        assert 0 <= now.history_age_s < 5
        assert now.knowledge_age_s >= last.knowledge_age_s > 0
        assert now.knowledge_version == last.knowledge_version
        last = now
    assert np.array_equal(world.recommend(user_id, items).scores, last.scores), "without an event nothing moves"


def test_an_unknown_user_and_an_unknown_film_are_answered_with_their_bits(world):
    known = next(iter(world.cast.sample.data.items))
    answer = world.recommend("nobody", [known, "no-such-film"])
    assert answer.user_fallback == (
        UserFallback.UNKNOWN
        | UserFallback.NO_HISTORY
        | UserFallback.NO_EXPERIENCED
        | UserFallback.NO_EXPECTATIONS
        | UserFallback.NO_SUMMARY
    )
    assert answer.item_fallback[0] & ItemFallback.NO_VECTOR == 0
    assert answer.item_fallback[1] == ItemFallback.NO_VECTOR | ItemFallback.NOT_IN_VOCABULARY
    assert np.isfinite(answer.scores).all()
    assert math.isnan(answer.history_age_s)
    assert math.isnan(answer.knowledge_age_s)
    assert (answer.events_since_knowledge, answer.knowledge_version) == (0, "")


def test_an_event_on_a_film_that_nobody_has_described_counts_in_the_history(world):
    user_id = world.cast.steady[1]
    [event] = world.cast.later(user_id, 1)
    world.publish(event.model_copy(update={"item_id": "not-yet-in-the-catalogue"}))
    row = world.read("user_history", user_id)
    assert "not-yet-in-the-catalogue" in row["history_item_ids"]
    assert row["history_rev"] == world.cast.loaded(user_id) + 1
    assert world.recommend(user_id).user_fallback == 0
