"""Any CSV or Parquet files, by a mapping file that says which column is what. See docs/datasets.md for an example."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from knowledge.base import TerminalError, require_aware
from knowledge.base.files import fault
from ranking.datasets.collect import Collector, bad, number, seconds_time
from ranking.datasets.lines import check_columns, csv_rows
from ranking.datasets.records import Dataset

_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(description="Name in the folder: .parquet, else text with the columns' names in line 1.")
    separator: str = Field(default=",", min_length=1, max_length=1)


class EventTable(_Table):
    """Where the events are."""

    user: str
    item: str
    time: str
    value: str | None = Field(default=None, description="Column of the value ...")
    constant_value: float | None = Field(default=None, description="... or one value for all (implicit feedback).")
    time_unit: Literal["s", "ms", "us", "iso"] = Field(description="Counts since 1970 UTC, or ISO 8601 texts.")
    time_zone: str | None = Field(default=None, description="Of ISO times without an offset: Europe/Berlin, UTC.")
    duplicates: Literal["refuse", "drop"] = "refuse"

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        try:
            return name and ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no time zone {name!r}") from None

    @model_validator(mode="after")
    def _one_value(self) -> "EventTable":
        if (self.value is None) == (self.constant_value is None):
            raise ValueError("give either value or constant_value")
        return self


class ItemTable(_Table):
    """Where the items are. `fields` maps a profile field to its column."""

    item: str
    title: str
    fields: dict[str, str] = Field(default_factory=dict)


class UserTable(_Table):
    """Where the users are."""

    user: str
    fields: dict[str, str] = Field(default_factory=dict)


class Mapped(BaseModel):
    """A mapping file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: EventTable
    items: ItemTable | None = None
    users: UserTable | None = None


def read_mapping(path: Path) -> Mapped:
    """Read a mapping file; raises `TerminalError` (`no_data`, `bad_mapping`) that says what is wrong."""
    try:
        return Mapped.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise TerminalError("no_data", f"the mapping file {path} is missing") from None
    except OSError as error:
        raise TerminalError("bad_mapping", f"{path} cannot be read: {fault(error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TerminalError("bad_mapping", f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise TerminalError("bad_mapping", f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}") from None


def load(mapping: Path, folder: Path | str) -> Dataset:
    """Read the files of `folder` as `mapping` says; raises `TerminalError` (`no_data`, `bad_data`, `naive_time`).

    Without a table of users or items they are known by their events alone, items without a title.
    """
    told, root = read_mapping(mapping), Path(folder)
    found = Collector(told.users is not None, told.items is not None, told.events.duplicates == "drop")
    if told.items is not None:
        items = told.items
        for where, row in _rows(root, items, (items.item, items.title, *items.fields.values())):
            found.item(where, _text(row[items.item]), _text(row[items.title]), _fields(items.fields, row))
    if told.users is not None:
        users = told.users
        for where, row in _rows(root, users, (users.user, *users.fields.values())):
            found.user(where, _text(row[users.user]), _fields(users.fields, row))
    events = told.events
    needed = (events.user, events.item, events.time, *((events.value,) if events.value else ()))
    zone = ZoneInfo(events.time_zone) if events.time_zone else None
    for where, row in _rows(root, events, needed):
        value = number(where, events.value, row[events.value]) if events.value else events.constant_value or 0.0
        at = _time(where, row[events.time], events.time_unit, zone)
        found.rating(where, _text(row[events.user]), _text(row[events.item]), value, at)
    return found.dataset()


def _rows(root: Path, table: _Table, needed: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    path = root / table.file
    if path.suffix != ".parquet":
        yield from csv_rows(path, needed, table.separator)
        return
    from pyarrow import ArrowInvalid, parquet

    try:
        file = parquet.ParquetFile(path)
    except FileNotFoundError:
        raise TerminalError("no_data", f"{path} is missing") from None
    except (ArrowInvalid, OSError) as error:
        raise TerminalError("bad_data", f"{path} is no Parquet file: {error}") from None
    with file:
        check_columns(path, file.schema_arrow.names, needed)
        row_number = 0
        for batch in file.iter_batches(columns=list(dict.fromkeys(needed))):
            for row in batch.to_pylist():
                row_number += 1
                yield f"{path}: row {row_number}", row


def _text(value: Any) -> str:  # noqa: ANN401 - whatever a column holds
    return "" if value is None else str(value)


def _fields(columns: Mapping[str, str], row: Mapping[str, Any]) -> dict[str, str]:
    """Profile fields; what is empty is left out, lists are joined by commas."""
    values = {
        field: ", ".join(map(str, row[column])) if isinstance(row[column], list) else _text(row[column])
        for field, column in columns.items()
    }
    return {field: value for field, value in values.items() if value}


def _time(where: str, value: Any, unit: str, zone: ZoneInfo | None) -> datetime:  # noqa: ANN401
    if unit != "iso" and not isinstance(value, datetime):
        return seconds_time(where, number(where, "time", value) / _PER_SECOND[unit], unit)
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
    except ValueError:
        raise bad(where, f"{_text(value)[:40]!r} is no ISO 8601 time") from None
    if at.utcoffset() is None:
        if zone is None:
            raise TerminalError(
                "naive_time", f"{where}: {at.isoformat()} has no time zone: add time_zone to the mapping's [events]"
            )
        at = at.replace(tzinfo=zone)
    return require_aware(at)
