"""A client that is closed, or never closed; no Triton is needed, because a channel connects only when it is used."""

import asyncio
import subprocess
import sys

import pytest

from knowledge.base import TerminalError
from serving.client import AsyncRekiClient, RekiClient

NOWHERE = "127.0.0.1:1"
_MAKE = "from serving.client import RekiClient\nclient = RekiClient(url='127.0.0.1:1')\n"
_CALL = """
from knowledge.base import TransientError
try:
    client.recommend('u', ['i'], deadline_s=0.2)
except TransientError:
    pass
"""


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(_MAKE + _CALL + "client.close()", id="closed"),
        pytest.param(_MAKE + "with client: pass", id="with"),
        pytest.param(_MAKE + _CALL, id="never-closed"),
        pytest.param("import feast\n" + _MAKE + "client.close()", id="beside-feast", marks=pytest.mark.slow),
        pytest.param(
            "import asyncio\nfrom serving.client import AsyncRekiClient\nasync def main():\n"
            "    global kept\n    kept = AsyncRekiClient(url='127.0.0.1:1')\n    await kept.close()\n"
            "asyncio.run(main())",
            id="async",
        ),
    ],
)
def test_nothing_is_printed_when_the_interpreter_ends(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_client_says_that_it_is_closed():
    client = RekiClient(url=NOWHERE)
    client.close()
    client.close()
    with pytest.raises(TerminalError, match="this client is closed") as caught:
        client.recommend("u", ["i"])
    assert caught.value.reason == "closed"


def test_a_closed_asynchronous_client_says_that_it_is_closed():
    async def use():
        client = AsyncRekiClient(url=NOWHERE)
        await client.close()
        await client.close()
        await client.recommend("u", ["i"])

    with pytest.raises(TerminalError, match="this client is closed"):
        asyncio.run(use())
