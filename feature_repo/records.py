"""What the feature writer is given and what it answers. Imports neither Feast nor torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from feature_repo.schema import VIEWS, View
from knowledge.base import TerminalError

_BY_NAME = {view.name: view for view in VIEWS}


def view_named(name: str) -> View:
    """The view with this logical name; raises `TerminalError` (`bad_row`) if there is none."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise TerminalError("bad_row", f"there is no view {name!r}: use one of {', '.join(_BY_NAME)}") from None


@dataclass(frozen=True)
class FeatureRow:
    """A row of one view, with logical names.

    `source_rev` is how many of the user's events its writer had seen (items: any number that grows with each newer
    version, such as the offset on topic `items`); it alone decides which row is newer. (`source_rev`, `generation`,
    `release`) is the row's write id: the same again counts as a retry, whatever the values.
    """

    view: str
    values: Mapping[str, Any]
    source_rev: int
    release: str = ""
    generation: int = 0
    slot: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)  # columns of the offline store alone: `state_json`

    @property
    def write_id(self) -> str:
        """Same write id, same write."""
        return f"{self.source_rev}:{self.generation}:{self.release}"


@dataclass(frozen=True)
class EntityWrite:
    """Rows of one entity that become readable together. `epoch` is that of the state the writer read (items: 0)."""

    entity: str
    entity_id: str
    epoch: int
    rows: tuple[FeatureRow, ...]


class Outcome(StrEnum):
    """What became of a row."""

    WRITTEN = "written"
    """It is the newest row now."""
    REPEATED = "repeated"
    """It had been written before: nothing changed online, the offline row is written again with the same time."""
    STALE = "stale"
    """The store holds a row of a higher `source_rev`, or of a later generation of the same one."""
    FORGOTTEN = "forgotten"
    """The user was forgotten after the writer had read the state: the write carries a lower epoch."""


@dataclass(frozen=True)
class RowResult:
    """Physical view name, outcome, and the event time of the row that the store holds (1970 where it holds none)."""

    view: str
    outcome: Outcome
    event_time: datetime
