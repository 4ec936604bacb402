"""Untrusted text on its way into a prompt, and an LLM's text on its way out.

Titles and profile values are written by others. They are data: quoted, short, on one line, and unable to form what a
chat template or a JSON reader would take for structure.
"""

import json
import re
import unicodedata
from typing import Any
from urllib.parse import urlsplit

# Without a dot or a name, too: a cut address still names somebody.
_EMAIL = re.compile(r"[^\s@\"()\u2039\u203a]*@[^\s@\"()\u2039\u203a]+")
_LINK = re.compile(r"(?:\b[a-zA-Z][a-zA-Z0-9+.-]{1,15}://|\bwww\.)\S+")
# Chat templates mark roles with <|...|>, <s>, [INST], <<SYS>>: without these characters no text can forge a mark.
_MARKS = str.maketrans({"<": "\u2039", ">": "\u203a", "[": "(", "]": ")", "`": "'"})


def clean(text: str, limit: int, forbidden: str = "") -> str:
    """One line of at most `limit` characters without control or invisible characters, addresses or role marks.

    `forbidden` (a user's id) is cut out wherever it stands by itself. Ids of fewer than four characters, or of fewer
    than six digits, are not: they cannot be told from the words and years in a title, and name nobody.
    """
    # Normalise first: full-width and other look-alike forms of the marks become the plain ones.
    # Cut before and after: one character can become 18, and the patterns below take quadratic time at worst.
    text = unicodedata.normalize("NFKC", text[: 4 * limit])[: 4 * limit]
    text = "".join(_visible(character) for character in text)
    # Again: what stood on both sides of an invisible character may now combine.
    text = unicodedata.normalize("NFKC", text).translate(_MARKS)
    text = _LINK.sub("(link)", _EMAIL.sub("(e-mail)", text))
    if len(forbidden) >= (6 if forbidden.isdecimal() else 4):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(forbidden)}(?![A-Za-z0-9])", "(id)", text, flags=re.IGNORECASE)
    text = " ".join(text.split())
    return text[:limit].rstrip()


def quoted(text: str, limit: int, forbidden: str = "") -> str:
    """`clean` text as a JSON string, quotes included."""
    return json.dumps(clean(text, limit, forbidden), ensure_ascii=False)


def one_line(text: str, limit: int) -> str:
    """A stranger's words for a log or a message: at most `limit` characters, one line, all of them printable."""
    return " ".join("".join(_visible(character) for character in text[: 4 * limit]).split())[:limit]


def without_surrogates(data: Any) -> Any:  # noqa: ANN401 - JSON
    """JSON data whose texts can be written as UTF-8: JSON may spell half a character, and no file takes one."""
    if isinstance(data, str):
        return data.encode("utf-8", "replace").decode("utf-8")
    if isinstance(data, list):
        return [without_surrogates(part) for part in data]
    if isinstance(data, dict):
        return {without_surrogates(name): without_surrogates(part) for name, part in data.items()}
    return data


def address(url: str) -> str:
    """A server's address for people: without a name and password in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def is_blank(text: str) -> bool:
    """Whether there is nothing to see in `text`."""
    return not any(character.isprintable() and not character.isspace() for character in text)


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Zs", "Zl", "Zp") or character in "\t\n\r\v\f":
        return " "
    # Cc control, Cf invisible and direction marks, Cs lone surrogates, Co private use, Cn unassigned.
    return "" if kind.startswith("C") else character
