import numpy as np
import pytest

from serving.item_cache import ItemCache, ItemRows

ABSENT = 1


def rows(*numbers, bits=0):
    made = ItemRows.empty(len(numbers), 2, 1)
    made.vec[:] = np.array(numbers, np.float32)[:, None]
    made.summary[:] = np.array(numbers, np.float32)[:, None]
    made.index[:] = numbers
    made.bits[:] = bits
    return made


def store(cache, ids, numbers, now, bits=0):
    cache.store(ids, rows(*numbers, bits=bits), np.arange(len(ids)), now)


def fill(cache, ids, now):
    target = ItemRows.empty(len(ids) + 1, 2, 1)
    missing = cache.fill(ids, target, 1, now)
    return target.vec[1:, 0].tolist(), missing.tolist()


def test_what_was_stored_is_found_at_its_own_place_and_the_rest_is_reported_missing():
    cache = ItemCache(10, 30, 2, 1, ABSENT)
    store(cache, [b"a", b"b"], [1, 2], now=0)
    assert fill(cache, [b"b", b"c", b"a"], now=1) == ([2, 0, 1], [1])


def test_a_row_older_than_its_time_to_live_is_read_again():
    cache = ItemCache(10, 30, 2, 1, ABSENT)
    store(cache, [b"a"], [1], now=0)
    assert fill(cache, [b"a"], now=29.9) == ([1], [])
    assert fill(cache, [b"a"], now=30)[1] == [0]


def test_an_absent_item_is_asked_for_again_after_a_second_not_after_the_whole_time_to_live():
    cache = ItemCache(10, 30, 2, 1, ABSENT)
    store(cache, [b"a"], [0], now=0, bits=ABSENT)
    assert fill(cache, [b"a"], now=0.9)[1] == []
    assert fill(cache, [b"a"], now=1.1)[1] == [0]


def test_a_full_cache_lets_go_of_the_oldest_and_never_answers_with_a_neighbours_row():
    cache = ItemCache(3, 30, 2, 1, ABSENT)
    for number in range(1, 8):
        store(cache, [str(number).encode()], [number], now=0)
        assert len(cache) <= 3
    assert fill(cache, [b"4", b"5", b"6", b"7"], now=1) == ([0, 5, 6, 7], [0])


def test_a_refreshed_row_replaces_the_old_one_without_taking_a_second_place():
    cache = ItemCache(3, 30, 2, 1, ABSENT)
    store(cache, [b"a"], [1], now=0)
    store(cache, [b"a"], [9], now=20)
    assert len(cache) == 1
    assert fill(cache, [b"a"], now=40) == ([9], [])


def test_more_rows_at_once_than_the_cache_holds_do_not_mix_up():
    cache = ItemCache(3, 30, 2, 1, ABSENT)
    ids = [str(number).encode() for number in range(1, 6)]
    store(cache, ids, range(1, 6), now=0)
    assert fill(cache, ids, now=1) == ([0, 0, 3, 4, 5], [0, 1])


@pytest.mark.parametrize("now", [0, 1e9])
def test_a_cache_of_size_zero_keeps_nothing(now):
    cache = ItemCache(0, 30, 2, 1, ABSENT)
    store(cache, [b"a"], [1], now=now)
    assert fill(cache, [b"a"], now=now)[1] == [0]
