"""Reading from and appending to a Lance source of Feast."""

from collections.abc import Sequence
from datetime import UTC, datetime

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.data_sources.contrib.lance.lance_source import LanceSource

from feature_repo.lance_source import BOOKKEEPING

_MOST_IDS = 5_000  # beyond, a list of ids costs Lance more than it saves


def scan(
    source: LanceSource,
    columns: Sequence[str] | None,
    start: datetime | None = None,
    end: datetime | None = None,
    key: str | None = None,
    ids: Sequence[str] = (),
) -> pa.Table:
    """Rows with `start` <= event time <= `end` (and, given `key`, of these ids), filtered inside Lance.

    Fixed-width vectors come back as plain lists, which is what the duckdb engine reads.
    """
    dataset = source.get_dataset()
    conditions = []
    time_type = dataset.schema.field(source.timestamp_field).type
    if start is not None:
        conditions.append(pc.field(source.timestamp_field) >= pa.scalar(_utc(start), time_type))
    if end is not None:
        conditions.append(pc.field(source.timestamp_field) <= pa.scalar(_utc(end), time_type))
    if key is not None and len(ids) <= _MOST_IDS:
        conditions.append(pc.field(key).isin(pa.array(ids, pa.string())))
    where = None
    for condition in conditions:
        where = condition if where is None else where & condition
    table = dataset.to_table(columns=list(columns) if columns is not None else None, filter=where)
    return table.cast(pa.schema([pa.field(field.name, _plain(field.type)) for field in table.schema]))


def append(source: LanceSource, table: pa.Table) -> None:
    """Append a pushed table, cast to the data set's schema; columns that only our writer knows stay null.

    Raises ValueError for naive times, vectors of another width, numbers that are not finite, missing ids or times.
    """
    dataset = source.get_dataset()
    now = datetime.now(UTC)
    columns = []
    for field in dataset.schema:
        if field.name in table.column_names:
            columns.append(_cast(table.column(field.name).combine_chunks(), field))
        elif field.name == "written_at":
            columns.append(pa.array([now] * len(table), field.type))
        elif field.name in BOOKKEEPING:
            columns.append(pa.nulls(len(table), field.type))
        else:
            raise ValueError(f"column {field.name} is missing: push every column of the view")
    for needed in (dataset.schema.names[0], source.timestamp_field):
        if columns[dataset.schema.names.index(needed)].null_count:
            raise ValueError(f"column {needed} has empty values: every row needs an id and an event time")
    lance.write_dataset(
        pa.Table.from_arrays(columns, schema=dataset.schema), mode="append", **source.get_write_target()
    )


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    if pa.types.is_timestamp(field.type):
        if pa.types.is_timestamp(column.type) and column.type.tz is None:
            raise ValueError(f"column {field.name} has times without a zone: Feast would take local times for UTC")
        return column.cast(field.type, safe=False)  # nanoseconds are cut off
    if pa.types.is_fixed_size_list(field.type) or pa.types.is_list(field.type):
        cast = _cast_list(column, field)
        if pa.types.is_floating(field.type.value_type):
            numbers = cast.flatten().to_numpy(zero_copy_only=False)
            if not np.isfinite(numbers).all():
                raise ValueError(f"column {field.name} has numbers that are not finite")
        return cast
    return column.cast(field.type)


def _cast_list(column: pa.Array, field: pa.Field) -> pa.Array:
    if pa.types.is_fixed_size_list(field.type):
        width = field.type.list_size
        lengths = {length for length in pc.list_value_length(column).to_pylist() if length is not None}
        if lengths - {width}:
            raise ValueError(f"column {field.name} needs vectors of {width} numbers, not {sorted(lengths)}")
        # Through plain lists: whatever the incoming list calls its child, and whatever its offsets are.
        return pa.array(column.to_pylist(), field.type)
    return column.cast(field.type)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.list_(kind.value_type) if pa.types.is_fixed_size_list(kind) else kind


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
