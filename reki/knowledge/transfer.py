"""`reki knowledge export` and `import`: the knowledge store as JSON lines or Parquet, checked on its way in."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from knowledge.base import Expectations, Knowledge, TerminalError, TransientError
from knowledge.base.files import fault, is_there, refuse_existing
from knowledge.scenario import Scenario
from knowledge.store import KnowledgeStore, Stored
from reki.knowledge.checks import MOST_MODEL, belongs, fields_problem, problem_of, read_record, scenario_of

EDITED = "+edited"
_LONGEST_LINE = 262_144
_SHOWN = 10


@dataclass
class Imported:
    """What an import did. `bad`: (line or row number, what is wrong), the first ten of `bad_count`.

    `edited`: of those written, how many got or have the mark that they are not what their LLM said. `named`: items that
    users' records name. `forgotten`: records left out, whose users were forgotten after they were made.
    """

    written: int = 0
    same: int = 0
    forgotten: int = 0
    edited: int = 0
    named: set[str] = field(default_factory=set)
    bad_count: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)


def export(records: Iterable[Knowledge], path: Path, else_say: str = "there is nothing to export") -> int:
    """Write `records` to `path` (.jsonl or .parquet), readable by its owner only; how many. All of them or no file.

    Raises `TerminalError` (`bad_file` for another ending, `exists` for a file that is there already, `no_knowledge`,
    whose message is `else_say`) and `TransientError` (`file_unwritable`: a full disk, no right to write).
    """
    as_parquet = _is_parquet(path)
    refuse_existing(path)
    # Its own name: two exports at once must not write to one file. Short: `path` may have the longest name there is.
    draft = path.with_name(f".{uuid4().hex}.draft")
    try:
        # Personal data: never readable by others, not even for a moment.
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            if as_parquet:
                from reki.knowledge import parquet

                count = parquet.write(draft, records)
            else:
                count = _write_lines(draft, records)
            if not count:
                raise TerminalError("no_knowledge", else_say)
            _put(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError:
        raise TerminalError("exists", f"{path} exists already and is left as it is: name another file") from None
    except OSError as error:
        raise TransientError("file_unwritable", f"cannot write {path}: {fault(error)}") from error
    return count


def stored_records(
    store: KnowledgeStore, scenario: Scenario, entities: Iterable[str], others: Counter[str]
) -> Iterator[Knowledge]:
    """The newest record of each entity that is of this scenario; those of other scenarios are counted in `others`."""
    for entity in entities:
        for stored in store.newest(entity):
            if belongs(stored.knowledge, scenario):
                yield stored.knowledge
            else:
                others[scenario_of(stored.knowledge) or "another scenario"] += 1


def import_file(store: KnowledgeStore, path: Path, scenario: Scenario, skip_bad: bool = False) -> Imported:
    """Take records into the store. Every line is checked first; with a bad one nothing is written, but `skip_bad`.

    A record that says something else than the stored one, yet claims to be the same answer, was edited: its model gets
    the mark `EDITED`, so that nobody takes it for that LLM's word. The file is read twice, so that a large one needs no
    memory. Raises `TerminalError` (`bad_file`) for a file that cannot be read at all, and `TransientError` where the
    store cannot be written.
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
                _take(store, record, result)
        store.sync()
    return result


def _take(store: KnowledgeStore, record: Knowledge, result: Imported) -> None:
    if record.entity == "user" and store.is_forgotten(record.entity_id, record.generated_at):
        result.forgotten += 1
        return
    (result.users if record.entity == "user" else result.items).append(record.entity_id)
    if (expected := record.expectations) is not None:
        result.named.update(expected.likes, expected.dislikes, expected.anchors)
    held = store.held(record.entity, record.entity_id)
    if held is not None and _same_answer(held.knowledge, record):
        if _said(held.knowledge) == _said(record):  # what is stored stays, with its mark and its prompt's hash
            result.same += 1
            return
        record = record.model_copy(update={"model": _marked(record.model)})
    if store.append(Stored(record)):
        result.written += 1
        result.edited += record.model.endswith(EDITED)
    else:
        result.same += 1


def _marked(model: str) -> str:
    return model.removesuffix(EDITED)[: MOST_MODEL - len(EDITED)] + EDITED


def _same_answer(one: Knowledge, other: Knowledge) -> bool:
    def origin(record: Knowledge) -> tuple[object, ...]:
        versions = (record.template_version, record.catalogue_version)
        return (record.model.removesuffix(EDITED), record.mode, *versions, record.source_rev, record.generated_at)

    return origin(one) == origin(other)


def _said(record: Knowledge) -> tuple[object, ...]:
    return (record.factors, record.expectations or Expectations())


def _put(draft: Path, path: Path) -> None:
    """Give the finished file its name, unless something has it: a link, unlike a rename, replaces nothing."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        refuse_existing(path)
        draft.replace(path)


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
        if (wrong := fields_problem(fields)) is not None:
            yield number, wrong
            continue
        record = read_record(Knowledge, fields)
        if isinstance(record, str):
            yield number, record
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

        if not is_there(path):
            raise TerminalError("bad_file", f"{path} cannot be read: there is no such file")
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
        raise TerminalError("bad_file", f"{path} cannot be read: {fault(error)}") from None


def _parsed(line: bytes) -> dict[str, Any] | str:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {str(error)[:100]}"
    return fields if isinstance(fields, dict) else "not a JSON object"
