"""A batch of requests becomes tensors; one that cannot must not take the others with it."""

from dataclasses import replace

import numpy as np
import pytest

from serving.item_cache import ItemRows
from serving.reader import MOST_REV, Read
from serving.session import Recent
from serving.store_layout import Sizes
from serving.tensors import USER_NO_EXPERIENCED, ReleaseFacts, Wanted, assemble, assemble_apart
from tests.serving.test_session import Entry, written

SIZES = Sizes(factors=9, dim=16, summary=32, anchors=40, history=50, stored_stats=4)
FACTS = ReleaseFacts("r", frozenset(), 3.0, (1.0, 5.0))
ROW = {b"": 0, **{str(n).encode(): n for n in range(1, 10)}}


def read(*users):
    return Read(list(users), ItemRows.empty(len(ROW), SIZES.width, SIZES.summary), ROW)


def test_a_request_that_cannot_be_assembled_fails_alone():
    users = read(*(written([Entry("1", 5.0, 1)]) for _ in range(3)))
    wanted = [Wanted(b"a", [b"1"]), Wanted(b"b", [b"in no table"]), Wanted(b"c", [b"2", b"3"], (Recent(b"4", 5.0),))]
    first, failed, last = assemble_apart(wanted, users, SIZES, FACTS, 0)
    assert isinstance(failed, KeyError)
    for answer, place in ((first, 0), (last, 2)):
        (alone,) = assemble([wanted[place]], read(users.users[place]), SIZES, FACTS, 0)
        assert answer.keys() == alone.keys()
        for name, array in alone.items():
            np.testing.assert_array_equal(answer[name], array)


def test_a_session_event_of_a_user_without_stored_sums_does_not_fail_the_batch():
    bare = replace(written([Entry("1", 5.0, 1)]), stats=None, experienced=None, experienced_release="")
    wanted = [Wanted(b"a", [b"1"], (Recent(b"1", 4.0),)), Wanted(b"b", [b"1"])]
    session, other = assemble(wanted, read(bare, bare), SIZES, FACTS, 0)
    assert session["user_stats"][0, 0] == 4.0
    assert not session["user_fallback"][0, 0] & USER_NO_EXPERIENCED  # the sums come from the history
    assert other["user_fallback"][0, 0] & USER_NO_EXPERIENCED


@pytest.mark.parametrize("rev", [MOST_REV, MOST_REV + 1, 10**12, 10**400])
def test_a_huge_revision_does_not_wrap_or_overflow(rev):
    user = replace(written([Entry("1", 5.0, 1)]), rev=rev)
    (answer,) = assemble([Wanted(b"a", [b"1"], (Recent(b"2", 4.0),))], read(user), SIZES, FACTS, 0)
    assert answer["events_since_knowledge"][0, 0] == MOST_REV
