"""The consistency job finds every way in which the two stores can part."""

import pytest
from feature_rows import experienced, history, item, item_vector, user

from feature_repo.consistency import compare
from feature_repo.schema import physical_views

pytestmark = pytest.mark.services


def reports(bench, **arguments):
    found = compare(bench.client, bench.keys, bench.offline, recheck_s=0.0, **arguments)
    return {report.view: report for report in found}


@pytest.fixture
def filled(bench):
    bench.offline.create()
    for rev in (1, 2):
        bench.writer.write([user(str(n), history(rev), experienced(rev)) for n in range(5)])
    bench.writer.write([item("7", item_vector(1)), item("8", item_vector(2))])
    bench.writer.flush()
    return bench


def test_stores_that_agree_are_reported_as_such(filled):
    found = reports(filled)
    assert set(found) == set(physical_views())
    assert all(report.ok for report in found.values()), found
    assert found["user_history"].compared == 5
    assert found["item_vector_blue"].compared == 2
    assert found["item_vector_green"].compared == 0


def test_a_changed_online_value_is_a_mismatch(filled):
    field = filled.keys.field("user_experienced_blue", "experienced_stats_blue")
    other = filled.client.hget(filled.keys.row_key("user", "2"), field)
    filled.client.hset(filled.keys.row_key("user", "3"), field, other[:-1] + b"\x00")
    found = reports(filled)
    assert found["user_experienced_blue"].mismatch == ("3",)
    assert found["user_history"].ok


def test_another_event_time_is_a_mismatch(filled):
    field = filled.keys.time_field("user_history")
    stamp = filled.client.hget(filled.keys.row_key("user", "3"), field)
    filled.client.hset(filled.keys.row_key("user", "3"), field, stamp[:-1] + bytes([stamp[-1] ^ 1]))
    assert reports(filled)["user_history"].mismatch == ("3",)


def test_an_online_row_that_never_reached_the_offline_store_is_missing(filled):
    filled.offline.delete("user", ["4"])
    found = reports(filled)
    assert found["user_history"].missing == found["user_experienced_blue"].missing == ("4",)
    assert found["item_vector_blue"].ok


def test_an_offline_row_without_an_online_row_is_extra(filled):
    filled.client.delete(filled.keys.row_key("item", "7"))
    assert reports(filled, views=["item_vector_blue"])["item_vector_blue"].extra == ("7",)


def test_rows_that_are_still_buffered_get_a_second_look(filled):
    filled.writer.write([user("9", history(1))])
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        filled.writer.flush()

    found = compare(filled.client, filled.keys, filled.offline, ["user_history"], recheck_s=2.0, pause=pause)
    assert [report.ok for report in found] == [True]
    assert pauses == [2.0]


def test_another_projects_rows_are_left_alone(filled, bench):
    from feature_repo.keys import Keys
    from feature_repo.writer import FeatureWriter

    FeatureWriter(filled.client, Keys("x" + filled.keys.project)).write([user("stranger", history(1))])
    assert all(report.ok for report in reports(filled).values())
