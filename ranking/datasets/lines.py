"""Text files as rows: fields by place, or by the names in the first line."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from knowledge.base import TerminalError
from ranking.datasets.collect import bad


def fields_of(
    path: Path, separator: str, least: int, skip: int = 0, encoding: str = "latin-1"
) -> Iterator[tuple[str, list[str]]]:
    """(where, fields) of every line that is not empty; no quoting.

    Raises `TerminalError`: `no_data` for a missing file, `bad_data` for a line with fewer than `least` fields or
    text in another encoding.
    """
    with _opened(path, encoding, "\n") as file:
        try:
            for number, line in enumerate(file, start=1):
                if number <= skip or not line.strip():
                    continue
                fields = line.rstrip("\r\n").split(separator)
                if len(fields) < least:
                    raise bad(f"{path}:{number}", f"{len(fields)} columns where {least} are needed")
                yield f"{path}:{number}", fields
        except UnicodeDecodeError as error:
            raise TerminalError("bad_data", f"{path} is not {encoding}: {error.reason}") from None


def csv_rows(path: Path, needed: Sequence[str], separator: str = ",") -> Iterator[tuple[str, Mapping[str, str]]]:
    """(where, row) of a CSV file in UTF-8 with the columns' names in its first line.

    Raises `TerminalError`: `no_data` for a missing file, `bad_data` for a missing column, a row with another number of
    fields, or text that is not UTF-8.
    """
    with _opened(path, "utf-8-sig", "") as file:
        try:
            reader = csv.reader(file, delimiter=separator, strict=True)
            names = next(reader, [])
            check_columns(path, names, needed)
            for fields in reader:
                where = f"{path}:{reader.line_num}"
                if not fields:
                    continue
                if len(fields) != len(names):
                    raise bad(where, f"{len(fields)} columns where {len(names)} are named in the first line")
                yield where, dict(zip(names, fields, strict=True))
        except UnicodeDecodeError as error:
            raise TerminalError("bad_data", f"{path} is not UTF-8: {error.reason}") from None
        except csv.Error as error:
            raise TerminalError("bad_data", f"{path} is no CSV file: {error}") from None


def check_columns(path: Path, names: Sequence[str], needed: Sequence[str]) -> None:
    """Raises `TerminalError` (`bad_data`) that names the columns that are missing and those that are there."""
    missing = [name for name in needed if name not in names]
    if missing:
        raise TerminalError(
            "bad_data", f"{path} has no column {', '.join(map(repr, missing))}: it has {', '.join(names) or 'none'}"
        )


def _opened(path: Path, encoding: str, newline: str) -> TextIO:
    try:
        return path.open(encoding=encoding, newline=newline)
    except FileNotFoundError:
        raise TerminalError("no_data", f"{path} is missing") from None
    except OSError as error:
        raise TerminalError("no_data", f"{path} cannot be read: {error.strerror}") from None
