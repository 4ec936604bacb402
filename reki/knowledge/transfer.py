"""`reki knowledge export` and `import`: the knowledge store as JSON lines or Parquet, checked on its way in."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from knowledge.base import Knowledge, TerminalError, TransientError
from knowledge.scenario import Scenario
from knowledge.store import ENTITIES, KnowledgeStore, Stored
from reki.knowledge.checks import problem_of, words_of

_LONGEST_LINE = 262_144
_SHOWN = 10


@dataclass
class Imported:
    """What an import did. `bad`: (line or row number, what is wrong), the first ten of `bad_count`."""

    written: int = 0
    same: int = 0
    bad_count: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)


def export(store: KnowledgeStore, path: Path, entities: Iterable[str] = ENTITIES) -> int:
    """Write the newest record of each entity to `path` (.jsonl or .parquet), readable by its owner only; how many.

    Raises `TerminalError` (`bad_file` for another ending or a file that is there already, `no_knowledge`).
    """
    as_parquet = _is_parquet(path)
    records = (stored.knowledge for entity in entities for stored in store.newest(entity))
    draft = path.with_name(f".{path.name}.draft")
    try:
        # Personal data: never readable by others, not even for a moment.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.close(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        if as_parquet:
            from reki.knowledge import parquet

            count = parquet.write(draft, records)
        else:
            count = _write_lines(draft, records)
        if count:
            draft.replace(path)
    except FileExistsError:
        raise TerminalError("bad_file", f"{path} is there already: choose another name") from None
    except OSError as error:
        raise TransientError("file_unwritable", f"cannot write {path}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    if not count:
        path.unlink()
        raise TerminalError("no_knowledge", f"nothing is stored in {store.folder}: `reki knowledge generate` fills it")
    return count


def import_file(store: KnowledgeStore, path: Path, scenario: Scenario, skip_bad: bool = False) -> Imported:
    """Take records into the store. Every line is checked first; with a bad one nothing is written, but `skip_bad`.

    The file is read twice, so that a large one needs no memory. Raises `TerminalError` (`bad_file`) for a file that
    cannot be read at all, and `TransientError` where the store cannot be written.
    """
    result = Imported()
    for number, record in _checked(path, scenario):
        if isinstance(record, str):
            result.bad_count += 1
            if len(result.bad) < _SHOWN:
                result.bad.append((number, record))
    if result.bad_count and not skip_bad:
        return result
    with store:
        for _, record in _checked(path, scenario):
            if not isinstance(record, str):
                if store.append(Stored(record)):
                    result.written += 1
                else:
                    result.same += 1
                (result.users if record.entity == "user" else result.items).append(record.entity_id)
        store.sync()
    return result


def _is_parquet(path: Path) -> bool:
    if path.suffix not in (".jsonl", ".parquet"):
        raise TerminalError("bad_file", f"{path.name} must end in .jsonl or .parquet")
    return path.suffix == ".parquet"


def _write_lines(path: Path, records: Iterable[Knowledge]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(record.model_dump_json() + "\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


def _checked(path: Path, scenario: Scenario) -> Iterator[tuple[int, Knowledge | str]]:
    """(line or row number, the record or what is wrong with it)."""
    seen: set[tuple[str, str]] = set()
    for number, fields in _rows(path):
        if isinstance(fields, str):
            yield number, fields
            continue
        try:
            record = Knowledge.model_validate(fields)
        except ValidationError as error:
            yield number, words_of(error)
            continue
        key = (record.entity, record.entity_id)
        wrong = problem_of(record, scenario)
        if wrong is None and key in seen:
            wrong = f"{record.entity} {record.entity_id} stands here twice"
        if wrong is None:
            seen.add(key)
        yield number, wrong or record


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    if _is_parquet(path):
        from reki.knowledge import parquet

        if not path.is_file():
            raise TerminalError("bad_file", f"there is no file {path}")
        yield from enumerate(parquet.read(path), start=1)
        return
    try:
        with path.open("rb") as lines:
            number = 0
            while line := lines.readline(_LONGEST_LINE + 1):
                number += 1
                if len(line) > _LONGEST_LINE:
                    while line and not line.endswith(b"\n"):  # the rest of it
                        line = lines.readline(_LONGEST_LINE)
                    yield number, f"longer than {_LONGEST_LINE} bytes"
                elif line.strip():
                    yield number, _parsed(line)
    except OSError as error:
        raise TerminalError("bad_file", f"cannot read {path}: {error}") from None


def _parsed(line: bytes) -> dict[str, Any] | str:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {str(error)[:100]}"
    return fields if isinstance(fields, dict) else "not a JSON object"
