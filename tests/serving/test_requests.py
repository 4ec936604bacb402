import numpy as np
import pytest

from serving.requests import BadRequest, check_request
from serving.session import Recent


def ids(*names):
    return np.array([[name.encode() if isinstance(name, str) else name for name in names]], object).reshape(1, -1)


def check(user=None, items=None, recent=None, values=None):
    user = ids("u") if user is None else user
    items = ids("a") if items is None else items
    return check_request(user, items, recent, values, max_items=5, value_range=(1.0, 5.0))


def test_a_good_request_is_read_whole():
    recent = ids("x", "y")
    wanted = check(ids("user:1"), ids("a", "b", "a"), recent, np.array([[5, 1]], np.float32))
    assert wanted.user_id == b"user:1"
    assert wanted.item_ids == [b"a", b"b", b"a"]
    assert wanted.recent == (Recent(b"x", 5.0), Recent(b"y", 1.0))
    assert wanted.items() == [b"a", b"b", b"a", b"x", b"y"]


def test_no_candidates_are_a_good_request():
    assert check(items=ids()).item_ids == []


@pytest.mark.parametrize("bad", ["", "a b", "a\nb", "x" * 101, "{a}", "ä", b"\xff", "a\n", "\n"])
def test_a_bad_id_is_named_and_never_becomes_part_of_a_redis_key(bad):
    with pytest.raises(BadRequest, match=r"user_id holds .* which is not an id"):
        check(user=ids(bad))
    with pytest.raises(BadRequest, match=r"item_ids holds .* which is not an id"):
        check(items=ids("good", bad, "good"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"items": ids(*"abcdef")}, "at most 5"),
        ({"user": np.repeat(ids("u"), 2, 0)}, "one user per request"),
        ({"items": np.repeat(ids("u"), 2, 0)}, "one user per request"),
        ({"recent": ids("x")}, "come together"),
        ({"values": np.ones((1, 1), np.float32)}, "come together"),
        ({"recent": ids("x"), "values": np.ones((1, 2), np.float32)}, "come together"),
        ({"recent": ids("x"), "values": np.array([[np.nan]], np.float32)}, "the scale goes from 1 to 5"),
        ({"recent": ids("x"), "values": np.array([[5.5]], np.float32)}, "the scale goes from 1 to 5"),
        ({"recent": ids(*["x"] * 101), "values": np.ones((1, 101), np.float32)}, "at most 100"),
        ({"recent": ids("x y"), "values": np.ones((1, 1), np.float32)}, "recent_item_ids holds"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_what_to_do(arguments, message):
    with pytest.raises(BadRequest, match=message):
        check(**arguments)
