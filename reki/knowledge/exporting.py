"""`reki knowledge export`: what is stored, or what is in force, as a file."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from knowledge.base import Knowledge
from knowledge.scenario import load_scenario
from knowledge.store import ENTITIES
from reki.current import current_settings, reachable_settings
from reki.knowledge.opened import knowledge_store
from reki.knowledge.transfer import export, stored_records


def run(path: Path, only: str | None, in_force: bool) -> str:
    """Write the file; what was written, in a sentence or two. Raises as `transfer.export`, and `not_up`."""
    entities = ENTITIES if only is None else (only.removesuffix("s"),)
    if in_force:
        count = export(_in_force(entities), path, "there is no knowledge in the running stack's Feast")
        return f"{count:,} records in force, in {path}"
    settings = current_settings()
    store, others = knowledge_store(settings), Counter[str]()
    nothing = (
        f"nothing of scenario {settings.knowledge.scenario} is stored in {store.folder}: `reki knowledge generate` "
        "fills it; --in-force writes what the running stack uses, whoever made it"
    )
    records = stored_records(store, load_scenario(settings.knowledge.scenario), entities, others)
    count = export(records, path, nothing)
    left = ", ".join(f"{number:,} of {name}" for name, number in sorted(others.items()))
    return f"{count:,} records in {path}" + (f"; left out: {left} (set REKI_SCENARIO to export those)" if left else "")


def _in_force(entities: Sequence[str]) -> Iterator[Knowledge]:
    settings = reachable_settings()
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type] # Feast would load it, for nothing
    from reki.knowledge.in_force import opened_in_force

    with opened_in_force(settings) as source:
        for entity in entities:
            yield from source.all(entity)
