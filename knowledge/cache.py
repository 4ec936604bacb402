"""Answers on disk, content-addressed: a crash or a rerun pays for nothing twice.

One JSON file per answer, `ab/abcdef....json`, named by the hash of model, messages, schema and sampling. Answers about
people are inferred personal data: folders and files are for their owner only, and `erase` forgets one.
"""

import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from knowledge.base import TerminalError, TransientError
from knowledge.base.records import parse_time

_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CachedAnswer:
    """One paid answer. `data` fills the prompt's schema; tokens are what it cost, repair included."""

    data: dict[str, Any]
    model: str
    generated_at: datetime
    tokens_in: int
    tokens_cached: int
    tokens_out: int


class AnswerCache:
    """Safe with several processes: files appear whole or not at all, and equal keys hold equal questions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where the answers are."""
        return self._folder

    def get(self, key: str) -> CachedAnswer | None:
        """The answer, or None; a file that cannot be read as one counts as absent (and is overwritten)."""
        try:
            parts = json.loads(self._path(key).read_text(encoding="utf-8"))
            answer = CachedAnswer(**{**parts, "generated_at": parse_time(parts["generated_at"])})
            whole = isinstance(answer.data, dict)
        except (OSError, ValueError, TypeError, KeyError, TerminalError):
            return None
        return answer if whole else None

    def put(self, key: str, answer: CachedAnswer) -> None:
        """Keep an answer; on disk when this returns. Raises `TransientError` (`cache_unwritable`)."""
        path = self._path(key)
        text = json.dumps({**asdict(answer), "generated_at": answer.generated_at.isoformat()}, ensure_ascii=False)
        temporary: str | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mode 0600
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            raise TransientError("cache_unwritable", f"cannot keep an answer in {self._folder}: {error}") from None

    def erase(self, key: str) -> bool:
        """Forget one answer; whether there was one."""
        try:
            self._path(key).unlink()
        except FileNotFoundError:
            return False
        return True

    def _path(self, key: str) -> Path:
        # Keys come back from a user's state: never let one become a path of its own choosing.
        if _KEY.fullmatch(key) is None:
            raise ValueError("a cache key is 64 hexadecimal digits")
        return self._folder / key[:2] / f"{key}.json"
