"""Poison goes to the dead letters with its reason; whatever stands behind it in the partition is applied."""

import json

import pytest

from knowledge.base import TerminalError
from streams.await_applied import Applied, Rejected, Tier
from tests.walk.world import TIMEOUT_S, wait_until

pytestmark = pytest.mark.services


def _value(event, **changes):
    return json.dumps({**event.model_dump(mode="json"), **changes}).encode()


def test_poison_is_kept_with_its_reason_and_holds_up_nobody(world):
    user_id = world.cast.steady[2]
    first, second = world.cast.later(user_id, 2)
    poison = [
        ("bad_json", b"\x00 this is not JSON"),
        ("bad_json", b""),
        ("bad_event", _value(first, action="sniff")),
        ("naive_time", _value(first, occurred_at="1998-01-01T00:00:00")),
        ("key_mismatch", _value(first, user_id="somebody-else")),
        ("bad_event", _value(first, item_id="x" * 101)),
        ("bad_event", b"[1, 2]"),
        ("bad_value", _value(first, value=17.0)),
    ]
    world.publish(first)
    sent = [(reason, value, world.send_raw(user_id.encode(), value)) for reason, value in poison]
    [behind] = world.publish(second)
    assert {token.partition for *_, token in sent} == {behind.partition}
    assert world.states.read(user_id).rev == world.cast.loaded(user_id) + 2
    letters = world.letters()
    for reason, value, token in sent:
        letter = letters[f"{token.partition}-{token.offset}"]
        headers = dict(letter.headers)
        assert headers["reason"].decode() == reason, headers["message"]
        assert letter.value == value
        assert headers["key"] == user_id.encode()
        assert world.waiter.wait(token, Tier.HISTORY, TIMEOUT_S) == Rejected(reason)


def test_an_id_that_cannot_be_a_key_is_refused_at_both_doors(world):
    [event] = world.cast.later(world.cast.steady[3], 1)
    too_long = "u" * 101
    with pytest.raises(TerminalError, match="is not an id") as refused:
        world.producer.forget(too_long)
    assert refused.value.reason == "bad_id"
    token = world.send_raw(too_long.encode(), _value(event, user_id=too_long))
    place = f"{token.partition}-{token.offset}"
    letter = wait_until(lambda: world.letters().get(place), what="the dead letter")
    assert dict(letter.headers)["reason"] == b"bad_id"


def test_a_valid_event_that_the_scenario_refuses_is_named_to_its_sender(world):
    user_id = world.cast.steady[4]
    [event] = world.cast.later(user_id, 1)
    refused = event.model_copy(update={"event_id": "eleven-stars", "value": 11.0})
    token = world.producer.publish(refused)
    assert world.waiter.wait(token, Tier.HISTORY, TIMEOUT_S) == Rejected("bad_value")
    assert world.states.read(user_id).rev == world.cast.loaded(user_id)


def test_an_event_published_twice_counts_once(world):
    user_id = world.cast.steady[5]
    [event] = world.cast.later(user_id, 1)
    world.publish(event)
    again = world.producer.publish(event)
    assert world.waiter.wait(again, Tier.HISTORY, TIMEOUT_S) == Rejected("duplicate")
    assert world.states.read(user_id).rev == world.cast.loaded(user_id) + 1
    other = event.model_copy(update={"event_id": "another"})
    assert isinstance(world.waiter.wait(world.producer.publish(other), Tier.HISTORY, TIMEOUT_S), Applied)
