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
    with pq.ParquetWriter(str(path), SCHEMA) as writer:
        rows: list[dict[str, Any]] = []
        for record in records:
            rows.append(_row(record))
            count += 1
            if len(rows) == _ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    return count


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows as a record's fields, unchecked. Raises `TerminalError` (`bad_file`)."""
    try:
        file = pq.ParquetFile(str(path))
        # Whoever wrote the file may have added columns; what is missing has its default or is said to be missing.
        names = [name for name in SCHEMA.names if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=_ROWS, columns=names):
            for row in batch.to_pylist():
                yield _fields(row)
    except (pa.ArrowException, OSError) as error:
        raise TerminalError("bad_file", f"{path} cannot be read as Parquet: {error}") from None


def _row(record: Knowledge) -> dict[str, Any]:
    row = record.model_dump(exclude={"expectations"})
    expected = record.expectations
    row |= {name: None if expected is None else getattr(expected, name) for name in _EXPECTED}
    return row | {"mode": record.mode.value}


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    expected = {name: row.pop(name, None) for name in _EXPECTED}
    for name in ("anchors", "weights"):
        if expected[name] is not None:
            expected[name] = dict(expected[name])
    if row.get("factors") is not None:
        row["factors"] = dict(row["factors"])
    known = {name: value for name, value in expected.items() if value is not None}
    fields = {name: value for name, value in row.items() if value is not None}
    return fields | ({"expectations": known} if known else {})
