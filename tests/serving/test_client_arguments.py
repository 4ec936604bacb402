"""What no tensor can carry is refused before it is sent: no Triton is needed, and a raw exception fails the test."""

import asyncio

import numpy as np
import pytest

from knowledge.base import TerminalError, TransientError
from serving import client_arguments
from serving.client import AsyncRekiClient, RekiClient

NOWHERE = "127.0.0.1:1"

BAD = [
    ({"top_k": 2**31}, "top_k is 2147483648: give a whole number"),
    ({"top_k": float("nan")}, "top_k is nan"),
    ({"top_k": 1.5}, "top_k is 1.5"),
    ({"top_k": "3"}, "top_k is '3'"),
    ({"top_k": True}, "top_k is True"),
    ({"top_k": 0}, "top_k is 0"),
    ({"recent": [("i", 3.0, 1)]}, "give .item id, value. pairs"),
    ({"recent": ["ab"]}, "recent holds 'ab'"),
    ({"recent": {"i": 3.0}}, "recent is {'i': 3.0}: give a list of .item id, value. pairs"),
    ({"recent": 3}, "recent is 3: give a list"),
    ({"recent": [("i", "3")]}, "recent holds the value '3'"),
    ({"recent": [("i", None)]}, "recent holds the value None"),
    ({"recent": [("i", 10**400)]}, "recent holds the value 1000"),
    ({"recent": [("i", float("nan"))]}, "recent holds the value nan"),
    ({"recent": [(3, 3.0)]}, "recent_item_ids must be strings"),
    ({"item_ids": None}, "item_ids is None: give a list of ids"),
    ({"item_ids": 7}, "item_ids is 7: give a list of ids"),
    ({"item_ids": "i"}, "item_ids is one string"),
    ({"item_ids": {"i": 1}}, "item_ids is {'i': 1}: give a list of ids"),
    ({"item_ids": (item for item in [1])}, "item_ids must be strings"),
    ({"user_id": None}, "user_id must be strings"),
    ({"deadline_s": "3"}, "deadline_s is '3': give seconds above 0"),
    ({"deadline_s": 0}, "deadline_s is 0"),
    ({"deadline_s": -1.0}, "deadline_s is -1.0"),
    ({"deadline_s": True}, "deadline_s is True"),
    ({"deadline_s": float("nan")}, "deadline_s is nan"),
    ({"deadline_s": float("inf")}, "deadline_s is inf"),
]
GOOD = {"user_id": "u", "item_ids": ["i"]}


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_an_argument_that_cannot_be_sent_is_no_raw_exception_and_not_taken_for_another(changes, message):
    with RekiClient(url=NOWHERE) as client, pytest.raises(TerminalError, match=message) as caught:
        client.recommend(**(GOOD | changes))
    assert caught.value.reason == "invalid_argument"


@pytest.mark.parametrize("changes", [{"top_k": 1.5}, {"recent": {"i": 3.0}}, {"item_ids": None}, {"deadline_s": 0}])
def test_the_asynchronous_client_refuses_the_same(changes):
    async def use():
        async with AsyncRekiClient(url=NOWHERE) as client:
            await client.recommend(**(GOOD | changes))

    with pytest.raises(TerminalError) as caught:
        asyncio.run(use())
    assert caught.value.reason == "invalid_argument"


@pytest.mark.parametrize("deadline_s", [1e12, 10**400])
def test_a_very_long_deadline_has_not_passed_at_once(deadline_s):
    with RekiClient(url=NOWHERE) as client, pytest.raises(TransientError) as caught:
        client.recommend("u", ["i"], deadline_s=deadline_s)
    assert caught.value.reason == "unavailable"  # nobody listens there; `deadline` before


def test_a_very_long_deadline_of_the_settings_is_capped_too():
    assert client_arguments.deadline(None, 1e12) == client_arguments.deadline(1e12, 1.0) == 86_400


def test_numbers_and_lists_of_other_kinds_are_sent_as_they_were():
    with RekiClient(url=NOWHERE) as client, pytest.raises(TransientError):
        client.recommend(
            "u",
            (item for item in ["i", "j"]),
            top_k=np.int64(3),
            recent=[["i", np.float32(3)], ("j", 4)],
            deadline_s=np.float64(0.2),
        )


def test_a_generator_of_ids_is_read_once():
    ids = client_arguments.candidates(item for item in ["i", "j"])
    assert ids == ("i", "j")
    tensors = client_arguments.inputs("u", ids, None, iter([("i", 3.0)]), explain=False)
    assert [tensor.name() for tensor in tensors] == ["user_id", "item_ids", "recent_item_ids", "recent_values"]
