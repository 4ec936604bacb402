"""Files that a person names: what is wrong with one, in words."""

from pathlib import Path

from knowledge.base.errors import TerminalError


def fault(error: OSError | ValueError) -> str:
    """Why a file could not be read or written, without error numbers and without its name once more."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 (byte {error.start})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error)


def is_there(path: Path) -> bool:
    """Whether something stands at `path`; raises `TerminalError` (`bad_file`) for a name that no file can have."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise TerminalError("bad_file", f"{path} cannot be used: {fault(error)}") from None
    return True


def refuse_existing(path: Path, hint: str = "name another file") -> None:
    """Raise `TerminalError` if something stands at `path` (`exists`) or nothing can (`bad_file`)."""
    if is_there(path):
        raise TerminalError("exists", f"{path} exists already and is left as it is: {hint}")
