"""An HTTP server that misbehaves on order, and a few invented films."""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from knowledge.base import Polarity
from knowledge.requests import HistoryEntry

START = datetime(1998, 3, 1, 12, tzinfo=UTC)
TITLES = {str(n): f"Film {n} (19{70 + n})" for n in range(1, 25)}


class LlmServer:
    """Speaks HTTP as told by `plan`: a list of replies, the last of which repeats.

    A reply is a chat answer's text, or `(status, headers, body bytes)`, or the words "hang", "drop" or "half".
    """

    def __init__(self):
        self.plan = ["{}"]
        self.requests = []
        self.finish_reason = "stop"
        self.delay_s = 0.0
        self.running = self.most_running = 0

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self._server.close()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    async def _serve(self, reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length:")[1].split("\r\n")[0])
            self.requests.append(json.loads(await reader.readexactly(length)))
            reply = self.plan[min(len(self.requests), len(self.plan)) - 1]
            self.running += 1
            self.most_running = max(self.running, self.most_running)
            try:
                await asyncio.sleep(3600 if reply == "hang" else self.delay_s)
            finally:
                self.running -= 1
            if reply != "drop":
                writer.write(self._http(reply))
                await writer.drain()
        writer.close()

    def _http(self, reply):
        status, headers, body = reply if isinstance(reply, tuple) else (200, {}, self._completion(reply))
        lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close"]
        head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items())])
        return (head + "\r\n\r\n").encode() + (body[: len(body) // 2] if reply == "half" else body)

    def _completion(self, text):
        choice = {"index": 0, "finish_reason": self.finish_reason, "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 60}}
        return json.dumps({"id": "x", "model": "fake-1", "choices": [choice], "usage": usage}).encode()


def entry(item_id, value, minute, polarity=None, title=None):
    """One event of a history, `minute` minutes after the start."""
    liked = Polarity.LIKED if value > 3 else Polarity.DISLIKED
    at = START + timedelta(minutes=minute)
    return HistoryEntry(item_id, title or TITLES.get(item_id, f"Film {item_id}"), value, polarity or liked, at)
