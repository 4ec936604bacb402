"""Knowledge that a bulk run produced, on disk: one append-only file of JSON lines per kind of entity.

`users.jsonl` and `items.jsonl` hold one record a line; the last line of an entity counts. What is in them about people
is inferred personal data: files are for their owner only, and `forget` takes a user out. The answer cache beside it
spares the calls of a run that was cut off; this is where the run's results are.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from knowledge.base import TerminalError, TransientError, check_id
from knowledge.private_files import private, private_folder
from knowledge.store_lines import (
    Stored,
    answer_named,
    is_about,
    line_of,
    mend,
    read_line,
    whole_lines,
    without_users,
)
from knowledge.tombstones import Tombstones, hashed

__all__ = ["ENTITIES", "KnowledgeStore", "Stored"]

ENTITIES = ("user", "item")


class KnowledgeStore:
    """Readers need no lock. To append, use it as a context manager: one writer at a time.

    Of users who were forgotten after `since`, when the run read what it is about (without it: when `with store:`
    began), nothing is taken. Reading raises `TerminalError` (`bad_store`, with the line) for a file that holds
    something else.
    """

    def __init__(self, folder: Path, since: datetime | None = None) -> None:
        self.folder = folder
        self.tombstones = Tombstones(folder / "forgotten")
        self._given_since = since
        self._since: datetime | None = None  # while writing
        self._lock: IO[bytes] | None = None
        self._files: dict[str, int] = {}
        self._places: dict[str, dict[str, int]] = {}

    def __enter__(self) -> Self:
        """Take the writer's lock; raises `TerminalError` (`store_busy`, `bad_store`), `TransientError`."""
        try:
            lock = self._locked()
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        if lock is None:
            raise TerminalError("store_busy", f"another command is writing to {self.folder}: wait until it is done")
        self._lock, self._since = lock, self._given_since or datetime.now(UTC)
        try:
            for entity in ENTITIES:
                self._mend(entity)
            self._compact()
            for entity in ENTITIES:  # before anything is asked: a bad line would end the run at its first result
                self._places[entity] = self._index(entity)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.sync()
        finally:
            for descriptor in self._files.values():
                os.close(descriptor)
            self._files.clear()
            self._release()
        self._settle()

    def append(self, stored: Stored) -> bool:
        """Add a record, on disk after the next `sync`. False: nothing was added.

        Then the newest record of this entity says the same, or the user is leaving (`is_leaving`).
        Raises `TransientError` (`store_unwritable`).
        """
        if self._lock is None:
            raise RuntimeError("append inside `with store:`")
        entity, entity_id = stored.knowledge.entity, stored.knowledge.entity_id
        places = self._places[entity]
        if entity == "user" and self.is_leaving(entity_id):
            return False
        line = line_of(stored)
        if entity_id in places and self._at(entity, places[entity_id]) == line:
            return False
        try:
            places[entity_id] = self._write(entity, line)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return True

    def held(self, entity: str, entity_id: str) -> Stored | None:
        """As `get`, inside `with store:`, without reading the file for it."""
        if entity == "user" and self.is_leaving(entity_id):
            return None
        place = self._places[entity].get(entity_id)
        return None if place is None else self._parsed(entity, place)

    def sync(self) -> None:
        """Return when every record is on disk; raises `TransientError` (`store_unwritable`)."""
        for descriptor in self._files.values():
            try:
                os.fsync(descriptor)
            except OSError as error:
                raise _unwritable(self.folder, error) from error

    def newest(self, entity: str) -> Iterator[Stored]:
        """The record that counts of each entity, in the order of the file; one in memory at a time."""
        for place in sorted(self._index(entity).values()):
            yield self._parsed(entity, place)

    def get(self, entity: str, entity_id: str) -> Stored | None:
        """The record that counts of one entity."""
        place = self._index(entity).get(check_id(entity_id))
        return None if place is None else self._parsed(entity, place)

    def ids(self, entity: str) -> list[str]:
        """Whom there are records of."""
        return list(self._index(entity))

    def is_forgotten(self, user_id: str, known_at: datetime) -> bool:
        """Whether the user was forgotten after `known_at`: what was known then must not come back."""
        return self.tombstones.covers(check_id(user_id), known_at)

    def is_leaving(self, user_id: str) -> bool:
        """Inside `with store:`: whether the user was forgotten meanwhile, so that nothing of them is taken."""
        return self._since is not None and self.is_forgotten(user_id, self._since)

    def forget(self, user_ids: Sequence[str]) -> list[str]:
        """Take users out; the prompt hashes of what was known of them, for `AnswerCache.erase`.

        They are gone for every reader at once, and from the file before this returns, or, where a run is writing,
        when that run ends. A line that is no record goes if it names one of them, else it stays. Raises `TerminalError`
        (`bad_store`) where there is no file to read, `TransientError` (`store_unwritable`): do it again.
        """
        names = {hashed(check_id(user)) for user in user_ids}
        try:
            for user in user_ids:
                self.tombstones.add(user)
            for name in names:
                self._mark(name).touch(mode=0o600)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        hashes = self.answers_of(user_ids)
        self._settle()
        return hashes

    def answers_of(self, user_ids: Sequence[str]) -> list[str]:
        """The prompt hashes of all that stands in the file of these users, their forgotten lines included."""
        names = {hashed(check_id(user)) for user in user_ids}
        lines = (line for _, line in self._lines("user") if is_about(line, names))
        return list(dict.fromkeys(name for line in lines if (name := answer_named(line)) is not None))

    def mentions(self, user_id: str) -> bool:
        """Whether a line, damaged, forgotten or neither, is about this user."""
        names = {hashed(check_id(user_id))}
        return any(is_about(line, names) for _, line in self._lines("user"))

    def _mark(self, name: str) -> Path:
        return self.folder / "forgotten" / f"{name}.stands"  # in the file still

    def _marks(self) -> set[str]:
        return {mark.stem for mark in (self.folder / "forgotten").glob("*.stands")}

    def _path(self, entity: str) -> Path:
        return self.folder / f"{entity}s.jsonl"

    def _locked(self) -> IO[bytes] | None:
        private_folder(self.folder)
        lock = open(self.folder / ".lock", "ab", opener=private)  # noqa: SIM115 - held until the writer is done
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def _release(self) -> None:
        self._places.clear()
        self._since = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _write(self, entity: str, line: bytes) -> int:
        """Where the line begins; all of it is written, or nothing."""
        if entity not in self._files:
            self._files[entity] = os.open(self._path(entity), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        descriptor = self._files[entity]
        place, rest = os.lseek(descriptor, 0, os.SEEK_END), line
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            os.ftruncate(descriptor, place)
            raise
        return place

    def _index(self, entity: str) -> dict[str, int]:
        """Entity id -> where its newest line begins."""
        places: dict[str, int] = {}
        gone = self._marks() if entity == "user" else set()
        for place, line in self._lines(entity):
            stored = read_line(line, entity)
            if isinstance(stored, str):
                if not is_about(line, gone):
                    raise self._bad(entity, place, stored)
            else:
                places[stored.knowledge.entity_id] = place
        return {one: place for one, place in places.items() if hashed(one) not in gone} if gone else places

    def _lines(self, entity: str) -> Iterator[tuple[int, bytes]]:
        try:
            yield from whole_lines(self._path(entity))
        except OSError as error:
            raise TerminalError("bad_store", f"{self._path(entity)} cannot be read: {error.strerror}") from error

    def _at(self, entity: str, place: int) -> bytes:
        try:
            with self._path(entity).open("rb") as file:
                file.seek(place)
                return file.readline()
        except OSError as error:
            raise TerminalError("bad_store", f"{self._path(entity)} cannot be read: {error.strerror}") from error

    def _parsed(self, entity: str, place: int) -> Stored:
        stored = read_line(self._at(entity, place), entity)
        if isinstance(stored, str):
            raise self._bad(entity, place, stored)
        return stored

    def _bad(self, entity: str, place: int, what: str) -> TerminalError:
        path = self._path(entity)
        number = 1 + sum(start < place for start, _ in self._lines(entity))
        return TerminalError("bad_store", f"{path}:{number} holds a line that is no record ({what}): remove it")

    def _mend(self, entity: str) -> None:
        path = self._path(entity)
        try:
            mend(path)
        except IsADirectoryError as error:
            raise TerminalError("bad_store", f"{path} is a folder: move it away") from error
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _settle(self) -> None:
        """Unless somebody is writing, who does it then: take those who are forgotten out of the file."""
        try:
            while self._lock is None and self._marks():
                lock = self._locked()
                if lock is None:
                    return
                with lock:
                    self._compact()
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _compact(self) -> None:
        """Under the lock: rewrite the file of users without those forgotten, until no mark is left."""
        path = self._path("user")
        try:
            while marks := self._marks():
                if path.exists():
                    without_users(path, marks)
                path.with_suffix(".draft").unlink(missing_ok=True)  # of one who was killed there
                for name in marks:
                    self._mark(name).unlink(missing_ok=True)
        except OSError as error:
            raise TransientError(
                "store_unwritable",
                f"who was forgotten is hidden, but {path} cannot be rewritten without them: {error.strerror}; mend it, "
                "then forget them again",
            ) from error


def _unwritable(folder: Path, error: OSError) -> TransientError:
    return TransientError("store_unwritable", f"cannot keep knowledge in {folder}: {error}")
