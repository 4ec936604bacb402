"""Knowledge as a Parquet table: one row a record, nested columns as other tools read them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from knowledge.base import Knowledge, TerminalError

_TEXTS = pa.map_(pa.string(), pa.string())
_NUMBERS = pa.map_(pa.string(), pa.float64())
_TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("entity", pa.string()),
        ("entity_id", pa.string()),
        ("factors", _TEXTS),
        ("likes", pa.list_(pa.string())),
        ("dislikes", pa.list_(pa.string())),
        ("anchors", _NUMBERS),
        ("weights", _NUMBERS),
        ("mode", pa.string()),
        ("model", pa.string()),
        ("template_version", pa.string()),
        ("catalogue_version", pa.string()),
        ("source_rev", pa.int64()),
        ("source_through", _TIME),
        ("generated_at", _TIME),
        ("changed", pa.list_(pa.string())),
        ("tokens_in", pa.int64()),
        ("tokens_cached", pa.int64()),
        ("tokens_out", pa.int64()),
    ]
)
_EXPECTED = ("likes", "dislikes", "anchors", "weights")
_ROWS = 1000


def write(path: Path, records: Iterable[Knowledge]) -> int:
    """Write records to a new file; how many. In groups of 1,000: memory does not grow with the file."""
    count = 0
    # Opened here: where the disk is full, the library's own file would complain from its destructor.
    with path.open("wb") as file, pq.ParquetWriter(file, SCHEMA) as writer:
        rows: list[dict[str, Any]] = []
        for record in records:
            rows.append(_row(record))
            count += 1
            if len(rows) == _ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    return count


def read(path: Path) -> Iterator[dict[str, Any] | str]:
    """The rows as a record's fields, unchecked, or why a row cannot be read. Raises `TerminalError` (`bad_file`)."""
    try:
        file = pq.ParquetFile(str(path))
        # Whoever wrote the file may have added columns; what is missing has its default or is said to be missing.
        names = [name for name in SCHEMA.names if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=_ROWS, columns=names):
            for place in range(batch.num_rows):
                yield _read_row(batch.slice(place, 1))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise TerminalError("bad_file", f"{path} cannot be read as Parquet: {error}") from None


def _read_row(one: pa.RecordBatch) -> dict[str, Any] | str:
    """Column by column: a time beyond the year 9999, an unknown zone or text that is not UTF-8 spoils its row alone."""
    row: dict[str, Any] = {}
    for name, column in zip(one.schema.names, one.columns, strict=True):
        try:
            row[name] = column[0].as_py()
        except (pa.ArrowException, ValueError, OverflowError, TypeError, KeyError) as error:
            return f"{name}: the column's value cannot be read ({type(error).__name__})"
    return _fields(row)


def _row(record: Knowledge) -> dict[str, Any]:
    row = record.model_dump(exclude={"expectations"})
    expected = record.expectations
    row |= {name: None if expected is None else getattr(expected, name) for name in _EXPECTED}
    return row | {"mode": record.mode.value}


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    expected = {name: row.pop(name, None) for name in _EXPECTED}
    for name in ("anchors", "weights"):
        expected[name] = _mapping(expected[name])
    row["factors"] = _mapping(row.get("factors"))
    known = {name: value for name, value in expected.items() if value is not None}
    fields = {name: value for name, value in row.items() if value is not None}
    return fields | ({"expectations": known} if known else {})


def _mapping(value: object) -> object:
    """A map as Arrow gives it, pairs in a list, as a dict; what is none stays, for the record's check to say so."""
    if isinstance(value, list) and all(isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) for p in value):
        return dict(value)
    return value
