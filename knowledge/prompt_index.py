"""Which cached answers are about whom: what makes them erasable, kept apart from prompts and answers.

A prompt names no user, nor does its hash. The state in Redis lists the hashes of a user's refreshes; this index lies
beside the answers themselves, for bulk runs without a stack, and for a crash between an answer and the state. One file
per user under `by-user/`, named by the hash of the user's id, one key a line; for its owner only.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from knowledge.base import TransientError
from knowledge.cache import AnswerCache

_KEY = re.compile(r"[0-9a-f]{64}")


class PromptIndex:
    """Safe with several processes: lines are appended whole."""

    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache
        self._folder = cache.folder / "by-user"

    def add(self, user_id: str, key: str) -> None:
        """Note that the answer `key` is about `user_id`; on disk when this returns.

        Raises `TransientError` (`cache_unwritable`).
        """
        if key in self.keys(user_id):
            return
        path = self._path(user_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, f"{key}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise TransientError("cache_unwritable", f"cannot note an answer in {self._folder}: {error}") from None

    def keys(self, user_id: str) -> tuple[str, ...]:
        """The answers about `user_id`, oldest first; a line that a crash cut off is left out."""
        try:
            lines = self._path(user_id).read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return ()
        return tuple(dict.fromkeys(line for line in lines if _KEY.fullmatch(line)))

    def forget(self, user_id: str, also: Iterable[str] = ()) -> int:
        """Erase the answers about `user_id` and those of the keys `also`; how many there were.

        The list goes last: whatever interrupts this, doing it again finishes it. Raises `OSError` if a file cannot be
        removed.
        """
        keys = dict.fromkeys((*self.keys(user_id), *(key for key in also if _KEY.fullmatch(key))))
        erased = sum(self._cache.erase(key) for key in keys)
        self._path(user_id).unlink(missing_ok=True)
        return erased

    def _path(self, user_id: str) -> Path:
        name = hashlib.sha256(user_id.encode()).hexdigest()
        return self._folder / name[:2] / name
