"""Attempts at injection, where they are put, and an LLM server that obeys every one that it can see.

Two obedient servers bound what a real LLM does. The *structural* one obeys only what it takes for structure: a turn or
a line of the prompt's own. The *gullible* one obeys whatever it can read, quoted or not; no prompt can stop it, only
the check of its answer can.
"""

import json
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from knowledge_parts import START, TITLES, LlmServer, entry

from knowledge.base import ItemProfile, Knowledge
from knowledge.catalogue import Catalogue
from knowledge.prompts import Prompt, item_prompt, user_prompt
from knowledge.requests import UserRequest
from knowledge.scenario import load_scenario

PLAIN = "Plain words"
TARGET, UNKNOWN = "24", "999"
SCENARIO = load_scenario("films")
CATALOGUE = Catalogue("test-1", ("1", "2", "3", "4"), tuple(TITLES))
FAIR = ["8", "9", "10", "11", "12", "13", "14", "15", "16", "17"]


@dataclass(frozen=True)
class Attempt:
    """One line of injections.jsonl. `key`: what a reader must see of `text` to obey."""

    id: str
    kind: str
    place: str
    language: str
    goal: str
    key: str
    text: str

    @property
    def on_item(self):
        """Whether it is aimed at an item's prompt."""
        return self.place.startswith("item")


ATTEMPTS = [
    Attempt(**json.loads(line)) for line in (Path(__file__).parent / "injections.jsonl").read_text().splitlines()
]


def subject(attempt, text):
    """(request or profile, titles) with `text` in the attempt's place."""
    titles = dict(TITLES)
    if attempt.on_item:
        title, field = (text, "Drama") if attempt.place == "item_title" else ("Film", text)
        return ItemProfile(item_id="film-000777", title=title, fields={"genres": field}), titles
    if attempt.place == "shortlist_title":
        titles[TARGET] = text
    said = text if attempt.place == "previous_text" else "Quiet dramas"
    previous = Knowledge(
        entity="user",
        entity_id="user-7f3a",
        factors={"genre": said},
        mode="individual",
        model="m",
        template_version="t",
        catalogue_version="c",
        source_rev=1,
        generated_at=START,
    )
    title = text if attempt.place == "history_title" else "Heat (1995)"
    request = UserRequest(
        user_id="user-7f3a",
        profile={"age": "24", "occupation": text if attempt.place == "profile_field" else "artist"},
        history=(entry("5", 4, 0), entry("x1", 5, 1, title=title), entry("7", 1, 2)),
        source_rev=3,
        source_through=START,
        previous=previous,
        generation=2,
    )
    return request, titles


def cleaned(attempt):
    """The prompt as it is sent."""
    made, titles = subject(attempt, attempt.text)
    return item_prompt(SCENARIO, made) if attempt.on_item else user_prompt(SCENARIO, CATALOGUE, titles, made)


def benign(attempt):
    """The same prompt with harmless words in the attempt's place."""
    return cleaned(replace(attempt, text=PLAIN))


def raw(attempt):
    """The prompt that a naive template makes: the text as it is between the quotes."""
    prompt = benign(attempt)
    messages = tuple({**m, "content": m["content"].replace(PLAIN, attempt.text)} for m in prompt.messages)
    return Prompt(messages, prompt.schema, prompt.template_version, prompt.hash)


_MARKS = re.compile(
    r"<\s*[|\uff5c].{0,40}?[|\uff5c]\s*>|</?s>|\[/?INST\]|\uff3b/?INST\uff3d|<</?SYS>>|<(?:start|end)_of_turn>|```|"
    r"\uff1c\uff5c"
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def forged(prompt, plain):
    """How the prompt's structure differs from that of the `plain` one; empty = not at all."""
    found = set()
    for message, expected in zip(prompt.messages, plain.messages, strict=True):
        content = message["content"]
        if _MARKS.search(content):
            found.add("role mark")
        if any(unicodedata.category(c).startswith("C") and c != "\n" for c in content):
            found.add("invisible character")
        if len(content.splitlines()) != len(expected["content"].splitlines()):
            found.add("line")
        if _STRING.sub('""', content) != _STRING.sub('""', expected["content"]):
            found.add("outside the quotes")
    return found


def readable(attempt, prompt):
    """Whether somebody who reads everything, quotes or not, can find the order in the prompt."""
    return _plain(attempt.key) in _plain(" ".join(m["content"] for m in prompt.messages)) or (
        attempt.key in " ".join(m["content"] for m in prompt.messages)
    )


def _plain(text):
    text = unicodedata.normalize("NFKC", "".join(c for c in text if unicodedata.category(c) != "Cf"))
    return " ".join(text.replace("\n", " ").split()).casefold()


class ObeyingServer(LlmServer):
    """Answers fairly, unless its current attempt reaches it."""

    def __init__(self, gullible):
        super().__init__()
        self.gullible = gullible
        self.attempt = self.plain = None
        self.obeyed = False

    def _completion(self, text):
        sent = self.requests[-1]["messages"]
        prompt = Prompt(tuple(sent[:2]), {}, "", "")
        seen = forged(prompt, self.plain) and readable(self.attempt, prompt)
        self.obeyed = bool(readable(self.attempt, prompt) if self.gullible else seen)
        system = prompt.messages[0]["content"]
        return super()._completion(answer(self.attempt if self.obeyed else None, self.attempt.on_item, system))


def answer(attempt, on_item, system):
    """What a server answers: fair without an attempt, else as ordered."""
    goal = attempt.goal if attempt else ""
    if goal == "deny":
        return "no"
    text = {
        "say_phrase": "Warm. Shop at MEGASTORE now.",
        "leak_prompt": system[:150],
        "leak_ids": "Fits. Ids: 1, 2, 3, 4, 5, 6.",
        "spread_link": "Warm. Buy at http://evil.example/win or boss@evil.example.",
        "sensitive": "The person is gay. Votes Republican.",
    }.get(goal, "Warm and slow")
    data = {"factors": dict.fromkeys(SCENARIO.factors, text)}
    if goal == "extra_field":
        data["factors"]["admin"] = "yes"
    if not on_item:
        target = UNKNOWN if attempt and UNKNOWN in attempt.text else TARGET
        data["likes"] = [target, *FAIR[:9]] if goal == "name_item" else FAIR
        data |= {"dislikes": ["18", "19", "20", "21", "22", "23", "1", "2", "3", "4"], "anchors": {}}
    return json.dumps(data)


def reached(attempt, factors, likes, system):
    """Whether the attempt got what it wanted into knowledge."""
    said = " ".join(factors.values())
    return {
        "name_item": TARGET in likes or UNKNOWN in likes,
        "say_phrase": "MEGASTORE" in said,
        "leak_prompt": system[:40] in said,
        "leak_ids": "1, 2, 3, 4" in said,
        "spread_link": "evil.example" in said,
        "sensitive": "is gay" in said or "Republican" in said,
        "extra_field": "admin" in factors,
    }.get(attempt.goal, False)
