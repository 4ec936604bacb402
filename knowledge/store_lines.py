"""The lines of the knowledge store's files: written, read, and found wanting."""

import json
import os
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from knowledge.base import Knowledge, TerminalError
from knowledge.private_files import private
from knowledge.tombstones import hashed

_WORD = re.compile(rb"[A-Za-z0-9_.:@-]{1,100}")  # what may be an id
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Stored:
    """One record. `prompt_hash` names the answer in the answer cache (None: recorded, imported or assembled)."""

    knowledge: Knowledge
    prompt_hash: str | None = None


class _Parts(BaseModel):
    prompt_hash: str | None = Field(pattern=_HASH.pattern)
    knowledge: Knowledge


def line_of(stored: Stored) -> bytes:
    """A record as a line."""
    parts = {"prompt_hash": stored.prompt_hash, "knowledge": stored.knowledge.model_dump(mode="json")}
    return (json.dumps(parts, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def read_line(line: bytes, entity: str) -> Stored | str:
    """A line as a record, or what is wrong with it, without the values: they may be personal data."""
    try:
        parts = _Parts.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    except TerminalError as error:  # a time that UTC cannot hold
        return error.message
    if parts.knowledge.entity != entity:
        return f"knowledge.entity: it is no {entity}"
    return Stored(parts.knowledge, parts.prompt_hash)


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(where it begins, the line) of a file that may be missing; a last line without an end is left out.

    A writer is at that one, or was killed there: its answer is in the cache. Raises `OSError`.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    place = 0
    with file:
        for line in file:
            if line.endswith(b"\n"):
                yield place, line
            place += len(line)


def mend(path: Path) -> None:
    """Cut off the half line that a killed writer left. Raises `OSError`."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        start = end
        while start:
            step = min(65_536, start)
            file.seek(start - step)
            newline = file.read(step).rfind(b"\n")
            if newline >= 0:
                start = start - step + newline + 1
                break
            start -= step
        if start < end:
            file.truncate(start)


def without_users(path: Path, names: Container[str]) -> None:
    """Rewrite a file of users with the newest line of each but those `names` (hashed), whatever else stands in it.

    A line that is no record is kept, unless one of its words is the id of somebody who goes. Raises `OSError`.
    """
    newest = {owner: place for place, line in whole_lines(path) if (owner := owner_of(line)) is not None}
    draft = path.with_suffix(".draft")
    try:
        with open(draft, "wb", opener=private) as file:
            for place, line in whole_lines(path):
                owner = owner_of(line)
                is_old = owner is not None and newest[owner] != place
                if not is_old and not is_about(line, names):
                    file.write(line)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def is_about(line: bytes, names: Container[str]) -> bool:
    """Whether a line, damaged or not, is about one of the users `names` (hashed)."""
    owner = owner_of(line)
    if owner is not None:
        return hashed(owner) in names
    return any(hashed(word.decode()) in names for word in set(_WORD.findall(line)))


def answer_named(line: bytes) -> str | None:
    """The name of the answer behind a line, damaged or not."""
    found = _field(line, "prompt_hash")
    return found if isinstance(found, str) and _HASH.fullmatch(found) else None


def owner_of(line: bytes) -> str | None:
    """Whom a line, damaged or not, is about; None = it does not say."""
    knowledge = _field(line, "knowledge")
    owner = knowledge.get("entity_id") if isinstance(knowledge, dict) else None
    return owner if isinstance(owner, str) and _WORD.fullmatch(owner.encode("utf-8", "replace")) else None


def _field(line: bytes, name: str) -> object:
    try:
        parts = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return parts.get(name) if isinstance(parts, dict) else None
