"""A forgotten user is gone from every store, and old events do not bring them back; new ones begin a new life."""

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from feature_repo.schema import physical_views
from serving.answer import UserFallback
from tests.walk.world import wait_until

pytestmark = pytest.mark.services

_USER_VIEWS = [name for name, (view, slot) in physical_views().items() if view.entity == "user" and slot != "green"]


@pytest.fixture(scope="module")
def gone(world, lived):
    """Forgets a user who had everything, cached LLM answers too; then: call it, and it says whether all is gone."""
    user_id, [prompt_hash] = lived.user_id, lived.prompt_hashes
    answers = world.stack.settings.knowledge.knowledge_cache_dir
    assert list(answers.rglob(f"{prompt_hash}.json"))
    assert all(world.offline_rows(view, user_id) for view in _USER_VIEWS)
    assert world.redis.exists(world.keys.row_key("user", user_id))
    assert world.command("forget", user_id).startswith(f"{user_id} is forgotten: state, features")

    def is_gone():
        state = world.states.read(user_id)
        return (
            state.forgotten
            and (state.rev, state.ring, dict(state.profile), state.prompt_hashes) == (0, (), {}, ())
            and not world.redis.exists(world.keys.row_key("user", user_id))
            and not any(world.offline_rows(view, user_id) for view in _USER_VIEWS)
            and not list(answers.rglob(f"{prompt_hash}.json"))
        )

    return is_gone


def test_a_forgotten_user_is_gone_from_every_store(world, lived, gone):
    assert gone()
    answer = world.recommend(lived.user_id)
    assert UserFallback.UNKNOWN in answer.user_fallback
    assert answer.knowledge_version == ""


def test_old_events_do_not_bring_a_forgotten_user_back_and_change_nobody_else(world, gone):
    if not world.is_kafka:
        pytest.skip("the last-resort broker does not let a group's offsets be set back")
    others = [*world.cast.changing, *world.cast.steady]
    before = [(state.user_id, state.rev, state.ring) for state in world.states.read_many(others)]
    assert any(rev > world.cast.loaded(user) for user, rev, _ in before), "there are old events to read again"
    _read_everything_again(world)
    assert gone()
    assert [(state.user_id, state.rev, state.ring) for state in world.states.read_many(others)] == before


def test_a_new_event_begins_a_new_life_without_anything_of_the_old_one(world, lived, gone):
    user_id = lived.user_id
    assert gone()
    [event] = world.cast.later(user_id, 1)
    world.publish(event)
    state = world.states.read(user_id)
    assert (state.rev, state.epoch, state.forgotten, [e.item_id for e in state.ring]) == (1, 1, False, [event.item_id])
    answer = world.recommend(user_id)
    assert answer.user_fallback == UserFallback.NO_EXPECTATIONS | UserFallback.NO_SUMMARY
    assert answer.events_since_knowledge == 1
    rows = wait_until(lambda: world.offline_rows("user_history", user_id), what="the offline row")
    assert [row["epoch"] for row in rows] == [1]


def _read_everything_again(world):
    """Let the stream worker read topic `behavior` from its first record, as after a restore of old offsets."""
    names = world.names
    parts = [TopicPartition(names.behavior, n) for n in range(world.stack.settings.streams.behavior_partitions)]
    ends = {}
    for record in world.records(names.behavior):
        part = TopicPartition(record.topic, record.partition)
        ends[part] = max(ends.get(part, 0), record.offset + 1)
    admin = KafkaAdminClient(bootstrap_servers=world.bootstrap)

    def committed():
        found = admin.list_group_offsets([names.behavior_group])[names.behavior_group]
        return {part: found[part].offset for part in ends if part in found}

    try:
        world.stack.stop("stream")
        try:
            wait_until(lambda: _set_back(admin, names.behavior_group, parts), what="an empty group")
            assert set(committed().values()) == {0}
        finally:
            world.stack.up(only=["stream"])
        wait_until(lambda: committed() == ends, what="the last commit")
    finally:
        admin.close()


def _set_back(admin, group, parts):
    done = admin.reset_group_offsets(group, dict.fromkeys(parts, 0))
    return all(getattr(answer["error"], "errno", 0) == 0 for answer in done.values())
