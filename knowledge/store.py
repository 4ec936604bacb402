"""Knowledge that a bulk run produced, on disk: one append-only file of JSON lines per kind of entity.

`users.jsonl` and `items.jsonl` hold one record a line; the last line of an entity counts. What is in them about people
is inferred personal data: files are for their owner only, and `forget` takes a user out. The answer cache beside it
spares the calls of a run that was cut off; this is where the run's results are.
"""

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pydantic import ValidationError

from knowledge.base import Knowledge, TerminalError, TransientError, check_id

ENTITIES = ("user", "item")


@dataclass(frozen=True)
class Stored:
    """One record. `prompt_hash` names the answer in the answer cache (None: recorded, imported or assembled)."""

    knowledge: Knowledge
    prompt_hash: str | None = None


class KnowledgeStore:
    """Readers need no lock. To append, use it as a context manager: one writer at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: IO[bytes] | None = None
        self._files: dict[str, IO[bytes]] = {}
        self._places: dict[str, dict[str, int]] = {}

    def __enter__(self) -> Self:
        """Take the writer's lock; raises `TerminalError` (`store_busy`) and `TransientError` (`store_unwritable`)."""
        try:
            lock = self._locked()
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        if lock is None:
            raise TerminalError("store_busy", f"another command is writing to {self.folder}: wait until it is done")
        self._lock = lock
        for entity in ENTITIES:
            _mend(self._path(entity))
        self._compact()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync()
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._places.clear()
        self._compact()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def append(self, stored: Stored) -> bool:
        """Add a record, on disk after the next `sync`. False: the newest record of this entity says the same.

        Raises `TransientError` (`store_unwritable`).
        """
        if self._lock is None:
            raise RuntimeError("append inside `with store:`")
        entity, entity_id = stored.knowledge.entity, stored.knowledge.entity_id
        places = self._known(entity)
        line = _line(stored)
        if entity_id in places and self._at(entity, places[entity_id]) == line:
            return False
        try:
            file = self._files.get(entity) or self._opened(entity)
            places[entity_id] = file.tell()
            file.write(line)
            file.flush()
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return True

    def held(self, entity: str, entity_id: str) -> Stored | None:
        """As `get`, inside `with store:`, without reading the file for it."""
        place = self._known(entity).get(entity_id)
        return None if place is None else self._parsed(entity, self._at(entity, place))

    def sync(self) -> None:
        """Return when every record is on disk; raises `TransientError` (`store_unwritable`)."""
        for file in self._files.values():
            try:
                os.fsync(file.fileno())
            except OSError as error:
                raise _unwritable(self.folder, error) from error

    def newest(self, entity: str) -> Iterator[Stored]:
        """The record that counts of each entity, in the order of the file; one in memory at a time."""
        for place in sorted(self._index(entity).values()):
            yield self._parsed(entity, self._at(entity, place))

    def get(self, entity: str, entity_id: str) -> Stored | None:
        """The record that counts of one entity."""
        place = self._index(entity).get(check_id(entity_id))
        return None if place is None else self._parsed(entity, self._at(entity, place))

    def ids(self, entity: str) -> list[str]:
        """Whom there are records of."""
        return list(self._index(entity))

    def forget(self, user_ids: Sequence[str]) -> list[str]:
        """Take users out; the prompt hashes of what was known of them, for `AnswerCache.erase`.

        They are gone for every reader at once, and from the file before this returns, or, where a run is writing,
        before that run's end.
        """
        hashes = [s.prompt_hash for user in user_ids if (s := self.get("user", user)) is not None and s.prompt_hash]
        if not self._path("user").exists():
            return hashes
        self._forgotten.mkdir(parents=True, exist_ok=True, mode=0o700)
        for user in user_ids:
            self._mark(user).touch(mode=0o600)
        lock = None if self._lock is not None else self._locked()
        if lock is not None:
            with lock:
                self._compact()
        return hashes

    def erase(self, prompt_hashes: Collection[str]) -> list[str]:
        """Take out the users whose answers have these names; who that was."""
        wanted = set(prompt_hashes)
        users = [s.knowledge.entity_id for s in self.newest("user") if s.prompt_hash in wanted] if wanted else []
        if users:
            self.forget(users)
        return users

    @property
    def _forgotten(self) -> Path:
        return self.folder / "forgotten"

    def _mark(self, user_id: str) -> Path:
        return self._forgotten / f"u-{check_id(user_id)}"  # "." and ".." are ids too

    def _path(self, entity: str) -> Path:
        return self.folder / f"{entity}s.jsonl"

    def _locked(self) -> IO[bytes] | None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = open(self.folder / ".lock", "ab", opener=_private)  # noqa: SIM115 - held until the writer is done
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def _known(self, entity: str) -> dict[str, int]:
        if entity not in self._places:
            self._places[entity] = self._index(entity)
        return self._places[entity]

    def _opened(self, entity: str) -> IO[bytes]:
        file = open(self._path(entity), "ab", opener=_private)  # noqa: SIM115 - closed in __exit__
        file.seek(0, os.SEEK_END)
        self._files[entity] = file
        return file

    def _index(self, entity: str) -> dict[str, int]:
        """Entity id -> where its newest line begins."""
        places: dict[str, int] = {}
        path = self._path(entity)
        if not path.exists():
            return places
        place = 0
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):  # else a writer is at it, or was killed there
                    places[self._id(entity, line)] = place
                place += len(line)
        for mark in self._forgotten.glob("u-*") if entity == "user" else ():
            places.pop(mark.name[2:], None)
        return places

    def _at(self, entity: str, place: int) -> bytes:
        with self._path(entity).open("rb") as file:
            file.seek(place)
            return file.readline()

    def _parsed(self, entity: str, line: bytes) -> Stored:
        try:
            parts = json.loads(line)
            return Stored(Knowledge.model_validate(parts["knowledge"]), parts["prompt_hash"])
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise TerminalError(
                "bad_store", f"{self._path(entity)} holds a line that is no record ({str(error)[:100]}): remove it"
            ) from None

    def _id(self, entity: str, line: bytes) -> str:
        try:
            return str(json.loads(line)["knowledge"]["entity_id"])
        except (ValueError, KeyError, TypeError):
            return self._parsed(entity, line).knowledge.entity_id  # says what is wrong

    def _compact(self) -> None:
        """Under the lock: rewrite the file of users without those forgotten, until no mark is left."""
        while marks := list(self._forgotten.glob("u-*")):
            path, draft = self._path("user"), self._path("user").with_suffix(".draft")
            with open(draft, "wb", opener=_private) as file:
                for stored in self.newest("user") if path.exists() else ():
                    file.write(_line(stored))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            for mark in marks:
                mark.unlink(missing_ok=True)


def _line(stored: Stored) -> bytes:
    parts = {"prompt_hash": stored.prompt_hash, "knowledge": stored.knowledge.model_dump(mode="json")}
    return (json.dumps(parts, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _mend(path: Path) -> None:
    """Cut off the half line that a killed writer left: its answer is in the cache."""
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


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _unwritable(folder: Path, error: OSError) -> TransientError:
    return TransientError("store_unwritable", f"cannot keep knowledge in {folder}: {error}")
