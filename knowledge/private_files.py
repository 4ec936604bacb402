"""Files with personal data: readable by their owner only, whole or not there at all."""

import os
from pathlib import Path


def private_folder(path: Path) -> Path:
    """Make a folder, with every level that is missing, for its owner only; `path`. Raises `OSError`."""
    for folder in (*reversed(path.parents), path):  # `parents=True` would give the levels above the usual rights
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
    return path


def private(path: str, flags: int) -> int:
    """An opener for `open`."""
    return os.open(path, flags, 0o600)


def replace_file(path: Path, data: bytes) -> None:
    """Write `path`, on disk when this returns; after a failure what was there is there still. Raises `OSError`."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(draft, "wb", opener=private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def drop_drafts(path: Path) -> None:
    """Remove what `replace_file(path, ...)` left in processes that were killed. Raises `OSError`."""
    for draft in path.parent.glob(f".{path.name}.*"):
        if not _is_running(draft.name.rpartition(".")[2]):
            draft.unlink(missing_ok=True)


def _is_running(process: str) -> bool:
    if not process.isdecimal() or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
