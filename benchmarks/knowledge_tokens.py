"""Exact tokens of prompts and answers, counted by the embedded model's own tokenizer (llama.cpp, `POST /tokenize`)."""

import hashlib
import http.client
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from knowledge.prompts import Message, Prompt

_BATCH = 64  # texts in one request; a special token stands between them, over which nothing is merged


@dataclass(frozen=True)
class Prices:
    """Money for a million tokens."""

    tokens_in: float
    cached: float
    tokens_out: float


@dataclass(frozen=True)
class Asked:
    """A prompt, reduced to what is counted: the hash of its first message, which many share, and its own text."""

    shared: str
    own: str


@dataclass
class Tally:
    """What a run costs. A first message counts as cached from its second call on, as a prefix cache would have it."""

    calls: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    seen: set[str] = field(default_factory=set)

    def add(self, shared: str, first: int, own: int, out: int, calls: int = 1) -> None:
        """`calls` calls of `first` shared and `own` other prompt tokens, each answered with `out` tokens."""
        self.calls += calls
        self.tokens_in += calls * (first + own)
        self.tokens_cached += first * (calls if shared in self.seen else calls - 1)
        self.tokens_out += calls * out
        self.seen.add(shared)

    def told(self, prices: Prices) -> dict[str, Any]:
        """As it stands in the report. `computed`: tokens that somebody must compute, so without the cached ones."""
        uncached = self.tokens_in - self.tokens_cached
        money = uncached * prices.tokens_in + self.tokens_cached * prices.cached + self.tokens_out * prices.tokens_out
        return {
            "calls": self.calls,
            "tokens_in": self.tokens_in,
            "tokens_cached": self.tokens_cached,
            "tokens_out": self.tokens_out,
            "tokens": self.tokens_in + self.tokens_out,
            "tokens_computed": uncached + self.tokens_out,
            "money": round(money / 1e6, 4),
        }


class Tokenizer:
    """Counts by asking a running `reki.embedded.llm_server`; not for several threads."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        whole = self._template([{"role": "system", "content": "@A@"}, {"role": "user", "content": "@B@"}])
        self._head, rest = whole.split("@A@")
        middle, self._tail = rest.split("@B@")
        self._turn = "<|im_start|>"  # opens each part: cut there, counts add up
        closing, _, opening = middle.rpartition(self._turn)
        self._close, self._open = closing, self._turn + opening
        [self._turn_id] = self._tokens(self._turn)
        [self._end_id] = self._tokens("<|im_end|>")
        self._shared: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def asked(self, prompt: Prompt) -> Asked:
        """Reduce a prompt; the shared message is kept once."""
        system, own = (str(message["content"]) for message in prompt.messages)
        name = hashlib.sha256(system.encode()).hexdigest()
        self._shared.setdefault(name, system)
        return Asked(name, own)

    def shared(self, name: str) -> int:
        """Tokens of a first message in the model's chat form."""
        if name not in self._counts:
            self._counts[name] = len(self._tokens(self._head + self._shared[name] + self._close))
        return self._counts[name]

    def own(self, texts: Iterable[str]) -> list[int]:
        """Tokens of each last message in chat form, the opening of the answer included."""
        turns = (self._open + self._tail).count(self._turn)
        return self._split([self._open + text + self._tail for text in texts], self._turn_id, turns, opens=True)

    def answers(self, answers: Iterable[dict[str, Any]]) -> list[int]:
        """Tokens of each answer as JSON on one line without spaces (what prompts ask for), and the one that ends it."""
        texts = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "<|im_end|>" for one in answers]
        return self._split(texts, self._end_id, 1, opens=False)

    def whole(self, prompt: Prompt) -> int:
        """Tokens of a whole prompt at once, to check the sums against."""
        return len(self._tokens(self._template(prompt.messages)))

    def _split(self, texts: Sequence[str], mark: int, marks: int, *, opens: bool) -> list[int]:
        counts: list[int] = []
        for start in range(0, len(texts), _BATCH):
            part = texts[start : start + _BATCH]
            tokens = self._tokens("".join(part))
            places = [place for place, token in enumerate(tokens) if token == mark]
            if len(places) != marks * len(part):
                raise ValueError("a text contains a special token: it was not cleaned")
            bounds = [*places[::marks], len(tokens)] if opens else [-1, *places[marks - 1 :: marks]]
            counts += [after - before for before, after in pairwise(bounds)]
        return counts

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self._post("/tokenize", {"content": text, "parse_special": True})["tokens"]
        return found

    def _template(self, messages: Sequence[Message]) -> str:
        return str(self._post("/apply-template", {"messages": list(messages)})["prompt"])

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        self._connection.close()  # opened again for the next: the server drops one that was quiet for a while
        if answer.status != 200:
            raise ValueError(f"{path} answered {answer.status}: {text[:200]!r}")
        found: dict[str, Any] = json.loads(text)
        return found
