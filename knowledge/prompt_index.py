"""Which cached answers are about whom: what makes them erasable, kept apart from prompts and answers.

A prompt names no user, nor does its hash. The state in Redis lists the hashes of a user's refreshes; this index lies
beside the answers themselves, for bulk runs without a stack, and for a crash between an answer and the state. One file
per user under `by-user/`, named by the hash of the user's id, one key a line; for its owner only. `forgotten/` says who
was forgotten when, so that an answer that was on its way then is not kept.
"""

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from knowledge.base import TransientError
from knowledge.cache import AnswerCache, CachedAnswer
from knowledge.private_files import private, private_folder
from knowledge.tombstones import Tombstones, hashed

_KEY = re.compile(r"[0-9a-f]{64}")


class PromptIndex:
    """Safe with several processes: one at a time changes it."""

    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache
        self._folder = cache.folder / "by-user"
        self._forgotten = Tombstones(cache.folder / "forgotten")

    def keep(self, user_id: str, key: str, answer: CachedAnswer, asked_at: datetime) -> bool:
        """Cache an answer about `user_id` and list it; False: the user was forgotten since `asked_at`.

        Then neither is left. Raises `TransientError` (`cache_unwritable`).
        """
        # Listed before it is kept: no answer about a person that could not be erased with them.
        self.add(user_id, key)
        self._cache.put(key, answer)
        try:
            with self._locked():
                if self._forgotten.covers(user_id, asked_at):
                    self._cache.erase(key)
                    self._unlist(user_id, key)
                    return False
        except OSError as error:
            raise self._unwritable(error) from None
        return True

    def add(self, user_id: str, key: str) -> None:
        """Note that the answer `key` is about `user_id`; on disk when this returns.

        Raises `TransientError` (`cache_unwritable`).
        """
        if key in self.keys(user_id):
            return
        path = self._path(user_id)
        try:
            with self._locked():
                private_folder(path.parent)
                with open(path, "ab", buffering=0, opener=private) as file:
                    file.write(f"{key}\n".encode())
                    os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None

    def keys(self, user_id: str) -> tuple[str, ...]:
        """The answers about `user_id`, oldest first; a line that a crash cut off is left out."""
        try:
            lines = self._path(user_id).read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return ()
        return tuple(dict.fromkeys(line for line in lines if _KEY.fullmatch(line)))

    def forget(self, user_id: str, also: Iterable[str] = ()) -> int:
        """Erase the answers about `user_id` and those of the keys `also`; how many there were.

        An answer that is on its way is not kept when it comes. The list goes last: whatever interrupts this, doing it
        again finishes it. Raises `OSError` if a file cannot be written or removed.
        """
        self._forgotten.add(user_id)
        with self._locked():
            named = (key for key in also if isinstance(key, str) and _KEY.fullmatch(key))
            erased = sum(self._cache.erase(key) for key in dict.fromkeys((*self.keys(user_id), *named)))
            self._path(user_id).unlink(missing_ok=True)
        return erased

    def _unlist(self, user_id: str, key: str) -> None:
        left = [one for one in self.keys(user_id) if one != key]
        if left:  # of a new life
            self._path(user_id).write_text("".join(f"{one}\n" for one in left), encoding="ascii")
        else:
            self._path(user_id).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(private_folder(self._folder), os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _path(self, user_id: str) -> Path:
        name = hashed(user_id)
        return self._folder / name[:2] / name

    def _unwritable(self, error: OSError) -> TransientError:
        return TransientError("cache_unwritable", f"cannot note an answer in {self._folder}: {error}")
