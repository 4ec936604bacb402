"""Who was forgotten, and when: what keeps an answer that was on its way, or an old export, from bringing them back.

One file per user, named by the hash of the user's id and holding the time. It stays: what is known of a forgotten user
from before that time is refused for good. What is learned later, of a new life, is not.
"""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

from knowledge.base import TerminalError, from_micros, micros
from knowledge.private_files import private_folder, replace_file

_NAME = re.compile(r"[0-9a-f]{64}")


def hashed(user_id: str) -> str:
    """What files call a user: 64 hexadecimal digits."""
    return hashlib.sha256(user_id.encode("utf-8", "replace")).hexdigest()


class Tombstones:
    """Safe with several processes. Reading raises `OSError` where the disk fails, never for a missing folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, user_id: str) -> None:
        """From now on what was known of the user until now is refused; on disk when this returns. Raises `OSError`."""
        now = max(datetime.now(UTC), self.of(user_id) or datetime.min.replace(tzinfo=UTC))
        replace_file(private_folder(self._folder) / hashed(user_id), str(micros(now)).encode())

    def of(self, user_id: str) -> datetime | None:
        """When the user was last forgotten; None = never."""
        return self._time(hashed(user_id))

    def covers(self, user_id: str, known_at: datetime) -> bool:
        """Whether the user was forgotten at or after `known_at`."""
        forgotten = self.of(user_id)
        return forgotten is not None and forgotten >= known_at

    def since(self, moment: datetime) -> set[str]:
        """The names (`hashed`) of those who were forgotten at or after `moment`."""
        try:
            names = [path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            return set()
        return {name for name in names if (time := self._time(name)) is not None and time >= moment}

    def _time(self, name: str) -> datetime | None:
        path = self._folder / name
        try:
            text = path.read_bytes()
            return from_micros(int(text))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TerminalError):  # damaged: it is still a tombstone
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
