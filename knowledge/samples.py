"""Sample items of a new domain, from a file of JSON lines or CSV."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from knowledge.base import TerminalError
from knowledge.base.files import fault
from knowledge.prompts import SampleItem

_MOST_READ = 100_000  # a whole catalogue may be given; the rest of a larger one is not looked at


def read_samples(path: Path, limit: int = 30) -> list[SampleItem]:
    """At most `limit` items, spread evenly over the file.

    `.jsonl`: objects with `title` and, if known, `fields` (an object) or further keys; `.csv`: a heading with `title`
    and further columns. `item_id` is not read. Raises `TerminalError` (`bad_sample`) that names file, line and fault.
    """
    readers = {".jsonl": _json_lines, ".csv": _csv_rows}
    if path.suffix.lower() not in readers:
        raise TerminalError("bad_sample", f"{path}: give a .jsonl or .csv file")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            items = []
            for line, row in readers[path.suffix.lower()](file):
                items.append(_item(path, line, row))
                if len(items) == _MOST_READ:
                    break
    except csv.Error as error:
        raise TerminalError("bad_sample", f"{path} is not CSV: {error}") from None
    except (OSError, ValueError) as error:
        raise TerminalError("bad_sample", f"{path} cannot be read: {fault(error)}") from None
    if not items:
        raise TerminalError("bad_sample", f"{path} has no items")
    count = min(limit, len(items))
    return [items[n * len(items) // count] for n in range(count)]


def _json_lines(lines: Iterator[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number} is not JSON: {error}") from None


def _csv_rows(lines: Iterator[str]) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(lines)
    for row in reader:
        row.pop(None, None)  # cells beyond the heading
        yield reader.line_num, row


def _item(path: Path, line: int, row: object) -> SampleItem:
    if not isinstance(row, Mapping) or not isinstance(row.get("title"), str) or not row["title"].strip():
        raise TerminalError("bad_sample", f"{path}, line {line}: an item needs a title (text)")
    inner = row.get("fields")
    more = inner if isinstance(inner, Mapping) else {k: v for k, v in row.items() if k not in ("item_id", "title")}
    return SampleItem(row["title"], {str(name): text for name, value in more.items() if (text := _told(value))})


def _told(value: object) -> str:
    """Texts and numbers, and lists of them; nothing else says much in a few words."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_told, value)))
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
