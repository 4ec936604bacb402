"""Wrong arguments of the two calls that outsiders make first: one clear terminal error, no bare ValueError."""

import pytest

from knowledge.base import TerminalError
from streams.await_applied import AppliedWaiter, Tier, await_applied
from streams.producer import BehaviorProducer
from streams.redis_calls import connect
from streams.settings import StreamSettings
from streams.tokens import BehaviorToken
from streams.topic_admin import ensure_topics, topic_ids
from tests.streams.world import event

TOKEN = BehaviorToken("u1", "t", 0, 0, "e1")


@pytest.mark.parametrize(
    ("token", "tier", "url", "reason", "says"),
    [
        (None, "history", "redis://127.0.0.1:1/0", "bad_token", "NoneType"),
        (TOKEN, "sometime", "redis://127.0.0.1:1/0", "bad_tier", "individual"),
        (TOKEN, None, "redis://127.0.0.1:1/0", "bad_tier", "individual"),
        (TOKEN, "history", "localhost:6379", "bad_redis_url", "redis://"),
        (TOKEN, "history", "redis://localhost:port/0", "bad_redis_url", "redis://"),
        (TOKEN, "history", "", "bad_redis_url", "redis://"),
        (TOKEN, "history", None, "bad_redis_url", "redis://"),
    ],
)
def test_a_wrong_wait_says_what_is_wrong_at_once(token, tier, url, reason, says):
    with pytest.raises(TerminalError, match=says) as refused:
        await_applied(token, tier, 0.1, redis_url=url)
    assert refused.value.reason == reason


def test_a_waiter_refuses_no_token():
    with pytest.raises(TerminalError) as refused:
        AppliedWaiter(None).wait(None, Tier.HISTORY)
    assert refused.value.reason == "bad_token"


@pytest.mark.services
def test_a_database_that_redis_does_not_have_is_a_wrong_address(valkey):
    with pytest.raises(TerminalError, match="DB index") as refused:
        await_applied(TOKEN, redis_url=valkey.url.rsplit("/", 1)[0] + "/9999", timeout_s=0.1)
    assert refused.value.reason == "bad_redis_url"


@pytest.mark.services
def test_a_closed_producer_says_so_and_a_missing_topic_names_commands_that_exist(last_resort_broker, valkey):
    settings = StreamSettings(kafka_bootstrap=last_resort_broker.bootstrap, kafka_last_resort=True)
    with pytest.raises(TerminalError, match="reki worker stream") as missing:
        topic_ids(settings, ["nowhere.behavior"])
    assert missing.value.reason == "no_topic"
    client = connect(valkey.url)
    ensure_topics(settings, "closedtest", client)
    client.close()
    producer = BehaviorProducer(last_resort_broker.bootstrap, "closedtest", last_resort=True)
    producer.close()
    for call in (lambda: producer.publish(event("u", 1)), lambda: producer.forget("u")):
        with pytest.raises(TerminalError, match="closed") as refused:
            call()
        assert refused.value.reason == "closed"
