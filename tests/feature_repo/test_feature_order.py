"""Older never overwrites newer, whatever the order of arrival and however many writers there are."""

import threading

import pytest
import redis
from feature_rows import expected, user
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.keys import Keys
from feature_repo.records import Outcome
from feature_repo.writer import FeatureWriter

pytestmark = pytest.mark.services

VERSIONS = st.tuples(st.integers(0, 12), st.integers(0, 2))  # source_rev, generation
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(answers):
    """`answers`: (version, result) in any order. Holds for one user and one view."""
    written = sorted((result.event_time, version) for version, result in answers if result.outcome is Outcome.WRITTEN)
    times = [at for at, _ in written]
    versions = [version for _, version in written]
    assert times == sorted(set(times)), "two writes got one event time"
    assert versions == sorted(set(versions)), "an older row was written after a newer one, or a write counted twice"
    allotted = {version: at for at, version in written}
    for version, result in answers:
        if result.outcome is Outcome.REPEATED:
            assert result.event_time == allotted[version]
    return versions


@SLOW
@given(st.lists(VERSIONS, min_size=1, max_size=25))
def test_any_order_of_arrival_ends_with_the_newest(bench, arrivals):
    bench.client.delete(bench.keys.row_key("user", "1"))
    answers = []
    for rev, generation in arrivals:
        (result,) = bench.writer.write([user("1", expected(rev, generation=generation))])[0]
        answers.append(((rev, generation), result))
    versions = check(answers)
    assert versions[-1] == max(arrivals)
    assert bench.reader.revs("user_expected", ["1"], "blue") == [max(arrivals)[0]]
    (row,) = bench.reader.read("user_expected", ["1"], ["expected_summary"], "blue")
    assert row["expected_summary"].tolist() == expected(max(arrivals)[0]).values["expected_summary"].tolist()


@settings(SLOW, max_examples=12)
@given(st.lists(VERSIONS, min_size=5, max_size=40), st.lists(VERSIONS, min_size=5, max_size=40))
def test_two_writers_at_once_end_with_the_newest(bench, valkey, first, second):
    bench.client.delete(bench.keys.row_key("user", "1"))
    answers, start = [], threading.Barrier(2)

    def work(arrivals):
        with redis.Redis.from_url(valkey.url) as client:
            writer = FeatureWriter(client, Keys(bench.keys.project))
            start.wait()
            for rev, generation in arrivals:
                (result,) = writer.write([user("1", expected(rev, generation=generation))])[0]
                answers.append(((rev, generation), result))

    threads = [threading.Thread(target=work, args=(arrivals,)) for arrivals in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(first) + len(second)
    assert check(answers)[-1] == max(first + second)
