"""The agents' body: nothing may leave it, because Faust commits past what raised."""

import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowledge.base import TerminalError, TransientError
from streams import slow_topics
from streams.slow_topics import SlowTopics, take

json_values = st.dictionaries(
    st.sampled_from(["item_id", "user_id", "title", "fields", "extra"]),
    st.none() | st.booleans() | st.floats() | st.text() | st.dictionaries(st.text(), st.text() | st.integers()),
)
MESSAGE = SimpleNamespace(topic="items", partition=0, offset=3, key=b"1", value=b"{}")


@pytest.fixture
def io():
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Script:
    """Raises one after the other, then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, message):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


async def no_letter(message, error):
    raise AssertionError(f"dead letter: {error}")


async def test_an_outage_is_waited_out_in_place(io):
    apply = Script(TransientError("redis_unavailable", "down"), TransientError("redis_unavailable", "down"))
    await take(MESSAGE, apply, no_letter, io, 0.001)
    assert apply.calls == 3


async def test_bad_input_is_dead_lettered_before_the_agent_goes_on(io):
    letters = []
    outage = [TransientError("dead_letters_unavailable", "down")]

    async def letter(message, error):
        if outage:
            raise outage.pop()
        letters.append((message.offset, error.reason))

    apply = Script(TerminalError("bad_profile", "no"))
    await take(MESSAGE, apply, letter, io, 0.001)
    assert letters == [(3, "bad_profile")]
    assert apply.calls == 1


async def test_the_unexpected_ends_the_process_instead_of_losing_the_record(io, monkeypatch):
    class EndedError(BaseException):
        pass

    def end():
        raise EndedError

    monkeypatch.setattr(slow_topics, "_end", end)
    with pytest.raises(EndedError):
        await take(MESSAGE, Script(ZeroDivisionError()), no_letter, io, 0.001)


@given(value=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
@example(value=b"[" * 60_000)
@example(value=b'{"item_id": "1", "title": "\\ud800", "fields": {}}')
def test_no_record_raises_anything_but_a_terminal_error(value):
    slow = SlowTopics(None, None)
    for apply in (lambda: slow.item(b"other", value, 1), lambda: slow.profile(b"other", value)):
        with pytest.raises(TerminalError) as refused:
            apply()
        assert refused.value.reason in ("bad_profile", "key_mismatch")
