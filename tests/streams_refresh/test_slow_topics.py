"""The agents' body: nothing may leave it, because Faust commits past what raised."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from knowledge.base import TerminalError, TransientError
from streams import slow_topics
from streams.slow_topics import take

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
