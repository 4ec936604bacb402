"""What is committed: never a record that is not finished, and everything before it."""

from hypothesis import given
from hypothesis import strategies as st

from streams.progress import Place, Progress

P0, P1 = Place("t", 0), Place("t", 1)


@given(count=st.integers(1, 30), order=st.randoms(use_true_random=False), finished=st.integers(0, 30))
def test_an_unfinished_record_is_never_committed_whatever_the_order_of_finishing(count, order, finished):
    progress = Progress()
    progress.take(P0, list(range(10, 10 + count)))
    offsets = list(range(10, 10 + count))
    order.shuffle(offsets)
    done = offsets[:finished]
    for offset in done:
        progress.done(P0, offset)
    unfinished = set(offsets) - set(done)
    expected = min(unfinished) if unfinished else 10 + count
    assert progress.committable() == ({P0: expected} if expected > 0 else {})
    assert progress.pending() == len(unfinished)


def test_nothing_is_committed_twice():
    progress = Progress()
    progress.take(P0, [5, 6])
    progress.done_all(P0, [5, 6])
    progress.committed(progress.committable())
    assert progress.committable() == {}
    progress.take(P0, [7])
    assert progress.committable() == {}
    progress.done(P0, 7)
    assert progress.committable() == {P0: 8}


def test_a_task_of_before_a_rebalance_cannot_finish_a_record_that_was_read_again():
    progress = Progress()
    progress.take(P0, [5])
    before = progress.version
    progress.void()
    progress.take(P0, [5])
    progress.done(P0, 5, before)
    assert progress.committable() == {P0: 5}
    progress.done(P0, 5, progress.version)
    assert progress.committable() == {P0: 6}


def test_partitions_do_not_wait_for_each_other():
    progress = Progress()
    progress.take(P0, [0, 1])
    progress.take(P1, [0, 1])
    progress.done_all(P1, [0, 1])
    assert progress.committable() == {P1: 2}


def test_a_gap_left_by_compaction_does_not_hold_a_commit_back():
    progress = Progress()
    progress.take(P0, [3, 9])
    progress.done_all(P0, [3, 9])
    assert progress.committable() == {P0: 10}
