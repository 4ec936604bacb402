"""What a prompt may tell of the items in a history: titles, and one line of the fields that the scenario lists."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from knowledge.prompts import facts_line
from knowledge.scenario import Scenario


class ProfileReader(Protocol):
    """The part of `feature_repo.reader.FeatureReader` that is used."""

    def read(self, view: str, ids: Sequence[str], features: Sequence[str] | None) -> list[dict[str, Any] | None]:
        """One dict per id; None = no row."""
        ...


@dataclass(frozen=True)
class ItemTold:
    """One item: both untrusted. `facts` is empty where no field is listed or known."""

    title: str
    facts: str = ""


def items_told(reader: ProfileReader, item_ids: Sequence[str], scenario: Scenario | None) -> dict[str, ItemTold]:
    """Those items that have a profile, in one round trip; without a scenario only their titles are read."""
    wanted = ["item_title"] if scenario is None else ["item_title", "item_fields"]
    rows = reader.read("item_profile", item_ids, wanted) if item_ids else []
    return {
        item: ItemTold(row["item_title"], _facts(row, scenario))
        for item, row in zip(item_ids, rows, strict=True)
        if row is not None
    }


def _facts(row: Mapping[str, Any], scenario: Scenario | None) -> str:
    if scenario is None or not row["item_fields"]:
        return ""
    return facts_line(scenario, json.loads(row["item_fields"]))
