"""Restore Redis from the offline store: users' states (window E7) and the online rows.

The newest offline row of `user_history` carries the whole state: ring, `rev`, offset map. Offline rows are flushed
before offsets are committed, so what is restored has seen every committed event; the stream worker goes on from its
committed offsets and ignores what the states have seen already. Run it with the workers stopped.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import lance

from feature_repo.offline import OfflineBuffer
from feature_repo.records import EntityWrite, FeatureRow
from feature_repo.schema import JOIN_KEYS, USER_HISTORY, physical_views
from feature_repo.writer import FeatureWriter
from knowledge.base import TerminalError
from streams.state import UserState, state_from_json
from streams.store import StateStore

Progress = Callable[[str, int], None]  # view, rows so far
_BATCH = 500


@dataclass
class Rebuilt:
    """What a rebuild found and did."""

    states: int = 0  # restored
    kept: int = 0  # a state at least as new was there
    rows: dict[str, int] = field(default_factory=dict)  # physical view -> online rows offered


def rebuild_states(store: StateStore, offline: OfflineBuffer) -> Rebuilt:
    """Restore the state of every user who has an offline history row; newer states in Redis are left alone."""
    result = Rebuilt()
    for user_id, row in newest_rows(offline, USER_HISTORY.name):
        state = _state(user_id, row)
        if state is None:
            continue
        if store.restore(state):
            result.states += 1
        else:
            result.kept += 1
    return result


def rebuild_rows(writer: FeatureWriter, offline: OfflineBuffer, progress: Progress | None = None) -> dict[str, int]:
    """Write the newest offline row of every entity and view back to the online store.

    `writer` needs no offline store of its own (the rows are there). The `source_rev` of each row is kept, so rows that
    are newer online stay; the event time is that of the rebuild, when the row became readable again. A user's epoch
    comes from the row: restore the states first.
    """
    counts = {}
    for physical, (view, slot) in physical_views().items():
        batch: list[EntityWrite] = []
        count = 0
        for entity_id, row in newest_rows(offline, physical):
            values = {feature.name: row[view.feature(feature.name, slot)] for feature in view.features}
            generation = int(row["write_id"].split(":", 2)[1])
            made = FeatureRow(view.name, values, row["source_rev"], row["release"], generation, slot)
            batch.append(EntityWrite(view.entity, entity_id, row["epoch"], (made,)))
            count += 1
            if len(batch) == _BATCH:
                writer.write(batch)
                batch = []
                if progress is not None:
                    progress(physical, count)
        writer.write(batch)
        counts[physical] = count
        if progress is not None:
            progress(physical, count)
    return counts


def newest_rows(offline: OfflineBuffer, physical: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each entity's row with the highest (epoch, source_rev, event time) in one physical view; one pass each.

    Two passes over the data set: the first finds the newest row per entity by four narrow columns, the second reads
    those rows alone, so that memory holds ids and no vectors.
    """
    path = offline.path(physical)
    if not path.exists():
        return
    dataset = lance.dataset(str(path))
    key = JOIN_KEYS[physical_views()[physical][0].entity]
    order = ("epoch", "source_rev", "event_timestamp")
    newest: dict[str, tuple[tuple[Any, ...], int]] = {}
    place = 0
    for batch in dataset.scanner(columns=[key, *order], scan_in_order=True).to_batches():
        for row in batch.to_pylist():
            rank = tuple(row[name] for name in order)
            best = newest.get(row[key])
            if best is None or rank > best[0]:
                newest[row[key]] = (rank, place)
            place += 1
    places = sorted(at for _, at in newest.values())
    for start in range(0, len(places), _BATCH):
        for row in dataset.take(places[start : start + _BATCH]).to_pylist():
            yield row[key], row


def _state(user_id: str, row: Mapping[str, Any]) -> UserState | None:
    if not row.get("state_json"):
        return None  # written by other than a REKI worker: a plain push
    try:
        return state_from_json(user_id, row["state_json"])
    except (ValueError, KeyError) as error:
        raise TerminalError(
            "bad_state_json",
            f"the newest offline history row of {user_id} cannot be read ({error}): delete or repair it",
        ) from error
