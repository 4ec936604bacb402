"""A forgotten user is gone from every store, and old events do not bring them back; new ones begin a new life."""

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from feature_repo.schema import physical_views
from serving.answer import UserFallback
from streams.await_applied import Applied, Tier
from tests.walk.world import TIMEOUT_S, wait_until

pytestmark = pytest.mark.services

_USER_VIEWS = [name for name, (view, slot) in physical_views().items() if view.entity == "user" and slot != "green"]


def _read_everything_again(world):
    """Let the stream worker read topic `behavior` from its first record, as after a restore of old offsets."""
    world.stack.stop("stream")
    admin = KafkaAdminClient(bootstrap_servers=world.bootstrap)
    try:
        parts = [
            TopicPartition(world.names.behavior, number)
            for number in range(world.stack.settings.streams.behavior_partitions)
        ]
        done = wait_until(lambda: _reset(admin, world.names.behavior_group, parts), what="an empty group")
        assert set(done.values()) == {0}
    finally:
        admin.close()
    world.stack.up(only=["stream"])


def _reset(admin, group, parts):
    done = admin.reset_group_offsets(group, dict.fromkeys(parts, 0))
    return {part: answer["offset"] for part, answer in done.items()} if _fine(done) else None


def _fine(done):
    return all(getattr(answer["error"], "errno", 0) == 0 for answer in done.values())


def test_a_forgotten_user_is_gone_and_old_events_do_not_bring_them_back(world, lived):
    user_id = lived.user_id
    answers = world.stack.settings.knowledge.knowledge_cache_dir
    [prompt_hash] = lived.prompt_hashes
    assert list(answers.rglob(f"{prompt_hash}.json"))
    assert all(world.offline_rows(view, user_id) for view in _USER_VIEWS)

    token = world.producer.forget(user_id)
    assert isinstance(world.waiter.wait(token, Tier.HISTORY, TIMEOUT_S), Applied)

    def is_gone():
        state = world.states.read(user_id)
        return (
            state.forgotten
            and (state.rev, state.ring, dict(state.profile), state.prompt_hashes) == (0, (), {}, ())
            and not world.redis.exists(world.keys.row_key("user", user_id))
            and not any(world.offline_rows(view, user_id) for view in _USER_VIEWS)
            and not list(answers.rglob(f"{prompt_hash}.json"))
        )

    assert is_gone()
    assert UserFallback.UNKNOWN in world.recommend(user_id).user_fallback

    others = [*world.cast.changing, *world.cast.steady]
    before = {state.user_id: state for state in world.states.read_many(others)}
    _read_everything_again(world)
    [fresh] = world.publish(*world.cast.later(world.cast.steady[7], 1))
    _wait_for_all(world)
    assert is_gone()
    for user, state in before.items():
        if user != fresh.user_id:
            assert world.states.read(user).ring == state.ring, f"old events changed user {user}"

    [event] = world.cast.later(user_id, 1)
    world.publish(event)
    state = world.states.read(user_id)
    assert (state.rev, state.epoch, state.forgotten, [e.item_id for e in state.ring]) == (1, 1, False, [event.item_id])
    answer = world.recommend(user_id)
    assert UserFallback.UNKNOWN not in answer.user_fallback
    assert UserFallback.NO_EXPECTATIONS in answer.user_fallback
    assert [row["epoch"] for row in wait_until(lambda: world.offline_rows("user_history", user_id))] == [1]


def _wait_for_all(world):
    """Until the group has committed every record that stands on the topic."""
    admin = KafkaAdminClient(bootstrap_servers=world.bootstrap)
    try:
        ends = {}
        for record in world.records(world.names.behavior):
            part = TopicPartition(record.topic, record.partition)
            ends[part] = max(ends.get(part, 0), record.offset + 1)

        def committed():
            group = world.names.behavior_group
            found = admin.list_group_offsets([group])[group]
            return all(part in found and found[part].offset >= end for part, end in ends.items())

        wait_until(committed, what="the last commit")
    finally:
        admin.close()
