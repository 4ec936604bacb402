"""The writer against a real Valkey: what is refused, what is repeated, what is written together."""

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import redis
from feature_rows import expected, experienced, history, item, item_vector, knowledge, user, vector
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from feature_repo.keys import Keys
from feature_repo.records import FeatureRow, Outcome
from feature_repo.writer import FeatureWriter
from knowledge.base import FixedClock, TerminalError, TransientError, from_micros, micros

pytestmark = pytest.mark.services


def only(results):
    ((result,),) = results
    return result


def test_a_row_reads_as_it_was_written(bench):
    bench.writer.write([user("1", history(3), experienced(3))])
    (read,) = bench.reader.read("user_experienced", ["1"], slot="blue")
    assert read["experienced_vec"].tobytes() == vector(3, 288).tobytes()
    assert read["experienced_stats"].tolist() == [3.5, 0.25, 1.0, 3.0]
    assert read["experienced_release"] == "r1"
    (read,) = bench.reader.read("user_history", ["1"], ["history_item_ids", "history_rev"])
    assert read == {"history_item_ids": ["i3", "i0"], "history_rev": 3}
    assert bench.reader.read("user_experienced", ["1", "2"], slot="green") == [None, None]
    assert bench.reader.revs("user_history", ["1", "2"]) == [3, None]


def test_the_reader_refuses_a_feature_that_is_not_there(bench):
    with pytest.raises(TerminalError, match="no feature"):
        bench.reader.read("user_history", ["1"], ["history_item_ids", "nonsense"])


def test_answers_stand_in_the_order_of_writes_and_rows(bench):
    writes = [user(str(n), history(n), experienced(n)) for n in range(1_203)]  # more than one round trip
    results = bench.writer.write(writes)
    assert [[row.view for row in answers] for answers in results] == [["user_history", "user_experienced_blue"]] * 1203
    assert bench.reader.revs("user_history", ["0", "700", "1202"]) == [0, 700, 1202]


def test_an_older_row_never_overwrites_a_newer_one(bench):
    newer = only(bench.writer.write([user("1", history(5))]))
    before = bench.fields("user", "1")
    stale = only(bench.writer.write([user("1", history(4))]))
    assert (stale.outcome, stale.event_time) == (Outcome.STALE, newer.event_time)
    assert bench.fields("user", "1") == before
    bench.writer.flush()
    assert bench.offline.newest("user_history", "1")["source_rev"] == 5


def test_revs_are_compared_as_numbers_not_as_text(bench):
    bench.writer.write([user("1", history(9))])
    assert only(bench.writer.write([user("1", history(10))])).outcome is Outcome.WRITTEN
    assert only(bench.writer.write([user("1", history(9))])).outcome is Outcome.STALE


def test_a_retry_returns_the_same_time_and_changes_nothing(bench):
    first = only(bench.writer.write([user("1", history(5))]))
    before = bench.fields("user", "1")
    time.sleep(0.002)
    again = only(bench.writer.write([user("1", history(5))]))
    assert (again.outcome, again.event_time) == (Outcome.REPEATED, first.event_time)
    assert bench.fields("user", "1") == before


def test_a_retry_writes_the_offline_row_that_the_online_store_holds(bench):
    lost = FeatureWriter(bench.client, bench.keys, None, FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
    first = only(lost.write([user("1", history(5, history_values=[1.5, 2.5]))]))  # the crash comes before the append
    bench.writer.write([user("1", history(5, history_values=[9.0, 9.0], extra={"state_json": "later"}))])
    bench.writer.flush()
    row = bench.offline.newest("user_history", "1")
    assert row["event_timestamp"] == first.event_time
    assert row["history_values"] == [1.5, 2.5]
    assert row["history_written_at"] == micros(datetime(2026, 1, 1, tzinfo=UTC))
    assert row["created_timestamp"] == row["written_at"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert row["state_json"] == "later"  # the state may have seen more replays since


def test_a_retry_below_somebody_elses_push_keeps_its_own_values_offline(bench):
    FeatureWriter(bench.client, bench.keys).write([user("1", history(5))])
    key = bench.keys.row_key("user", "1")
    later = Timestamp(seconds=int(time.time()) + 5).SerializeToString()
    pushed = {bench.keys.time_field("user_history"): later, Keys.field("user_history", "history_values"): b""}
    bench.client.hset(key, mapping=pushed)
    bench.writer.write([user("1", history(5))])
    bench.writer.flush()
    assert bench.offline.newest("user_history", "1")["history_values"] == [4.0, 5.0]


def test_another_release_or_generation_of_the_same_events_is_written(bench):
    for row in (expected(5), expected(5, generation=1), expected(5, release="r2"), expected(5, release="r1")):
        assert only(bench.writer.write([user("1", row)])).outcome is Outcome.WRITTEN


def test_a_late_retry_of_an_earlier_generation_is_stale(bench):
    bench.writer.write([user("1", expected(5, generation=1)), user("1", expected(5, generation=2))])
    assert only(bench.writer.write([user("1", expected(5, generation=1))])).outcome is Outcome.STALE
    assert only(bench.writer.write([user("1", expected(6, generation=0))])).outcome is Outcome.WRITTEN


def test_a_release_name_with_colons_and_dashes_is_told_apart(bench):
    bench.writer.write([user("1", expected(5, release="a:b-%d+"))])
    assert only(bench.writer.write([user("1", expected(5, release="a:b-%d+"))])).outcome is Outcome.REPEATED


def test_each_row_of_an_entity_is_judged_by_its_own_view(bench):
    bench.writer.write([user("1", knowledge(7))])
    (answers,) = bench.writer.write([user("1", knowledge(6), expected(6))])
    assert [row.outcome for row in answers] == [Outcome.STALE, Outcome.WRITTEN]


def test_texts_and_vectors_become_readable_together(bench):
    (answers,) = bench.writer.write([user("1", knowledge(7), expected(7), expected(7, slot="green"))])
    assert len({row.event_time for row in answers}) == 1  # one call, one server time


def test_a_forgotten_users_late_write_is_refused(bench):
    bench.writer.write([user("1", history(5))])
    bench.client.hset(bench.keys.state_key("1"), "epoch", 1)
    bench.writer.delete_entity("user", "1")
    late = only(bench.writer.write([user("1", history(6), epoch=0)]))
    assert (late.outcome, late.event_time) == (Outcome.FORGOTTEN, from_micros(0))
    assert bench.fields("user", "1") == {}
    assert only(bench.writer.write([user("1", history(1), epoch=1)])).outcome is Outcome.WRITTEN
    bench.writer.flush()
    assert bench.offline.newest("user_history", "1")["source_rev"] == 1


def test_epochs_are_compared_as_numbers(bench):
    bench.client.hset(bench.keys.state_key("1"), "epoch", 10)
    assert only(bench.writer.write([user("1", history(5), epoch=9)])).outcome is Outcome.FORGOTTEN
    assert only(bench.writer.write([user("1", history(5), epoch=10)])).outcome is Outcome.WRITTEN


def test_the_second_deletion_spares_the_users_new_life(bench):
    bench.writer.write([user("1", history(5), epoch=0)])
    bench.client.hset(bench.keys.state_key("1"), "epoch", 1)
    bench.client.delete(bench.keys.row_key("user", "1"))
    bench.writer.write([user("1", history(1), epoch=1)])
    bench.writer.delete_entity("user", "1", below_epoch=1)
    bench.writer.flush()
    assert bench.reader.revs("user_history", ["1"]) == [1]
    row = bench.offline.newest("user_history", "1")
    assert (row["epoch"], row["source_rev"]) == (1, 1)


def test_deleting_one_user_leaves_the_others(bench):
    bench.writer.write([user("1", history(1), experienced(1)), user("12", history(2)), item("1", item_vector(1))])
    bench.writer.flush()
    bench.writer.delete_entity("user", "1")
    assert bench.reader.revs("user_history", ["1", "12"]) == [None, 2]
    assert bench.offline.newest("user_history", "1") is None
    assert bench.offline.newest("user_experienced_blue", "1") is None
    assert bench.offline.newest("user_history", "12")["source_rev"] == 2
    assert bench.offline.newest("item_vector_blue", "1") is not None


@pytest.mark.parametrize("bad", [{"history_values": [float("nan")]}, {"history_through": "late"}, {"history_rev": 9}])
def test_a_bad_row_stops_the_whole_call_before_anything_is_written(bench, bad):
    with pytest.raises(TerminalError):
        bench.writer.write([user("1", history(1)), user("2", knowledge(1), history(1, **bad))])
    bench.writer.flush()
    assert bench.fields("user", "1") == bench.fields("user", "2") == {}
    assert bench.offline.newest("user_history", "1") is None


def test_a_bad_entity_or_id_is_refused(bench):
    with pytest.raises(TerminalError, match="no entity"):
        bench.writer.write([type(user("1"))("film", "1", 0, ())])
    with pytest.raises(TerminalError, match="is not an id"):
        bench.writer.write([user("a b", history(1))])


def test_a_server_that_lost_its_scripts_is_given_them_again(bench):
    bench.writer.write([user("1", history(1))])
    bench.client.script_flush()
    results = bench.writer.write([user(str(n), history(2)) for n in range(5)])
    assert [answers[0].outcome for answers in results] == [Outcome.WRITTEN] * 5


def test_a_server_that_is_away_is_an_error_worth_a_retry(bench):
    away = FeatureWriter(redis.Redis(port=1, retry=Retry(NoBackoff(), 0)), bench.keys, bench.offline)
    with pytest.raises(TransientError) as error:
        away.write([user("1", history(1))])
    assert error.value.reason == "redis_unavailable"
    bench.offline.flush()
    assert bench.offline.newest("user_history", "1") is None


def test_the_event_time_is_when_the_row_became_readable(bench):
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    at = only(bench.writer.write([user("1", history(1))])).event_time
    assert before <= at <= datetime.now(UTC) + timedelta(milliseconds=1)
    assert bench.reader.event_times("user_history", ["1", "2"]) == [at, None]


def test_time_moves_on_past_a_push_from_the_future(bench):
    ahead = int(time.time()) + 3600
    pushed = Timestamp(seconds=ahead, nanos=123_456_789).SerializeToString()
    bench.client.hset(bench.keys.row_key("user", "1"), bench.keys.time_field("user_history"), pushed)
    at = only(bench.writer.write([user("1", history(1))])).event_time
    assert micros(at) == ahead * 1_000_000 + 123_458  # a nanosecond is rounded up, then one µs more


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    last=st.integers(4_102_444_800_000_000, 9_000_000_000_000_000) | st.integers(5_000, 5_100).map(lambda s: s * 10**12)
)
def test_the_script_spells_times_as_protobuf_does(bench, last):
    key = bench.keys.row_key("user", "1")
    bench.client.delete(key)
    bench.client.hset(key, bench.keys.micros_field("user_history"), last - 1)
    at = only(bench.writer.write([user("1", history(1))])).event_time
    assert micros(at) == last
    proto = Timestamp(seconds=last // 1_000_000, nanos=last % 1_000_000 * 1_000)
    assert bench.client.hget(key, bench.keys.time_field("user_history")) == proto.SerializeToString()


def test_items_know_no_epoch(bench):
    write = type(user("1"))("item", "1", 0, (item_vector(1),))
    assert only(bench.writer.write([write])).outcome is Outcome.WRITTEN
    assert only(bench.writer.write([write])).outcome is Outcome.REPEATED


def test_an_empty_history_is_a_row_and_not_a_hole(bench):
    row = FeatureRow("user_history", {"history_item_ids": [], "history_values": [], "history_through": 0}, 0)
    bench.writer.write([user("1", row)])
    bench.writer.flush()
    (read,) = bench.reader.read("user_history", ["1"], ["history_item_ids", "history_values"])
    assert read["history_item_ids"] == []
    assert np.array_equal(read["history_values"], [])
    assert bench.offline.newest("user_history", "1")["history_values"] == []
