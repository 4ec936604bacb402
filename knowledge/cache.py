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
from knowledge.base.records import MOST, parse_time
from knowledge.private_files import private_folder

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
            return _read(json.loads(self._path(key).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError, RecursionError, TerminalError):
            return None

    def put(self, key: str, answer: CachedAnswer) -> None:
        """Keep an answer; on disk when this returns. Raises `TransientError` (`cache_unwritable`)."""
        path = self._path(key)
        text = json.dumps({**asdict(answer), "generated_at": answer.generated_at.isoformat()}, ensure_ascii=False)
        temporary: str | None = None
        try:
            private_folder(path.parent)
            # Named by the key, so that `erase` finds what a killed process left of it. Mode 0600.
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".new-{key}-")
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode("utf-8", "replace"))  # half a surrogate pair: an LLM's answer may hold one
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            raise TransientError("cache_unwritable", f"cannot keep an answer in {self._folder}: {error}") from None
        finally:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)

    def erase(self, key: str) -> bool:
        """Forget one answer; whether there was one."""
        path = self._path(key)
        for draft in path.parent.glob(f".new-{key}-*"):
            draft.unlink(missing_ok=True)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _path(self, key: str) -> Path:
        # Keys come back from a user's state: never let one become a path of its own choosing.
        if _KEY.fullmatch(key) is None:
            raise ValueError("a cache key is 64 hexadecimal digits")
        return self._folder / key[:2] / f"{key}.json"


def _read(parts: dict[str, Any]) -> CachedAnswer:
    """Raises `ValueError`, `TypeError`, `KeyError`, `RecursionError`, `TerminalError` for what is no answer."""
    answer = CachedAnswer(**{**parts, "generated_at": parse_time(parts["generated_at"])})
    counts = (answer.tokens_in, answer.tokens_cached, answer.tokens_out)
    if not (isinstance(answer.data, dict) and isinstance(answer.model, str)):
        raise TypeError("an answer is an object, and a model has a name")
    if not all(type(count) is int and 0 <= count <= MOST for count in counts):
        raise ValueError("tokens are counted")
    # As deep, and as well-formed, as what is kept can be.
    json.dumps([answer.data, answer.model], ensure_ascii=False, allow_nan=False).encode()
    return answer
