"""From user states to rows: history, experienced, decision and due mark. Idempotent; runs again for replayed events."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.experienced import experienced_many
from encoders.history import effective
from encoders.statistics import user_statistics
from feature_repo.records import EntityWrite, FeatureRow
from feature_repo.schema import DIM, FACTORS, HISTORY
from feature_repo.writer import FeatureWriter
from knowledge.base import TerminalError, from_micros
from streams.control import Slots
from streams.due import DueSet, Mark
from streams.faults import Faults
from streams.item_vectors import ItemVectors
from streams.policy import PolicySettings, decide
from streams.state import RingEntry, UserResult, UserState, state_to_json
from streams.store import StateStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _User:
    state: UserState
    now: int  # µs, Redis clock
    entries: list[RingEntry]  # effective, newest first


class Projection:
    """Writes what follows from a user's state. Sync; one caller thread.

    Online first, then offline (buffered by the writer), then the decision and the due mark.
    """

    def __init__(
        self,
        store: StateStore,
        writer: FeatureWriter,
        vectors: ItemVectors,
        slots: Slots,
        due: DueSet,
        policy: PolicySettings,
        faults: Faults | None = None,
    ) -> None:
        self._store = store
        self._writer = writer
        self._vectors = vectors
        self._slots = slots
        self._due = due
        self._policy = policy
        self._faults = faults or Faults()

    def project(self, results: Sequence[UserResult]) -> dict[str, TerminalError]:
        """Project these users; returns those whose rows cannot be written, with the reason.

        Raises `TransientError`; calling again with the same or newer states is right then, and always.
        """
        users = [
            _User(result.state, result.now, effective(result.state.ring))
            for result in results
            if result.state.rev > 0  # a forgotten user's stub has nothing to show
        ]
        if not users:
            return {}
        slots = self._slots.current()
        items = {entry.item_id for user in users for entry in user.entries}
        rows: list[list[FeatureRow]] = [[history_row(user.state, user.entries, user.now)] for user in users]
        drifts: list[float | None] = [None] * len(users)
        for slot in slots:
            release, vectors = self._vectors.get(slot, items)
            sums = experienced_many([user.entries for user in users], vectors, (FACTORS, DIM))
            for user, own, total in zip(users, rows, sums, strict=True):
                own.append(_experienced_row(user, slot, release, total))
            if slot == slots[0]:
                drifts = _drifts(users, sums, vectors)
        self._faults.hit("E3")
        refused = self._write(users, rows)
        self._faults.hit("E4")
        self._decide([(u, d) for u, d in zip(users, drifts, strict=True) if u.state.user_id not in refused])
        return refused

    def _write(self, users: Sequence[_User], rows: Sequence[list[FeatureRow]]) -> dict[str, TerminalError]:
        writes = [
            EntityWrite("user", user.state.user_id, user.state.epoch, tuple(own))
            for user, own in zip(users, rows, strict=True)
        ]
        try:
            self._writer.write(writes)
        except TerminalError:
            return dict(self._one_by_one(writes))  # the writer checks before it writes: find out whose row it was
        return {}

    def _one_by_one(self, writes: Iterable[EntityWrite]) -> Iterable[tuple[str, TerminalError]]:
        for write in writes:
            try:
                self._writer.write([write])
            except TerminalError as error:
                yield write.entity_id, error

    def _decide(self, users: Sequence[tuple[_User, float | None]]) -> None:
        updates: list[tuple[str, int, dict[str, Any]]] = []
        marks = []
        for user, drift in users:
            state = user.state
            decision = decide(state, from_micros(user.now), self._policy, drift)
            if decision.not_before is not None:
                marks.append(Mark(state.user_id, decision.not_before, drift))
            seen = {"rev": state.rev, "due": decision.due, "reason": decision.reason}
            updates.append((state.user_id, state.epoch, {"decision": seen}))
        self._faults.hit("E5")
        # The mark first: a decision that says "due" promises that the scheduler will look.
        if marks:
            self._due.mark_many(marks)
        self._store.update_many(updates)


def history_row(state: UserState, entries: Sequence[RingEntry], written_at: int) -> FeatureRow:
    """The `user_history` row of a state. `entries` are its effective ones, newest first; `written_at` in µs."""
    shown = entries[:HISTORY]
    return FeatureRow(
        "user_history",
        {
            "history_item_ids": [entry.item_id for entry in shown],
            "history_values": [entry.value for entry in shown],
            "history_rev": state.rev,
            "history_through": entries[0].occurred_at if entries else 0,
            "history_written_at": written_at,
        },
        source_rev=state.rev,
        extra={"state_json": state_to_json(state)},
    )


def _experienced_row(user: _User, slot: str, release: str, sums: np.ndarray) -> FeatureRow:
    entries = user.entries
    return FeatureRow(
        "user_experienced",
        {
            "experienced_vec": sums.reshape(-1),
            "experienced_stats": user_statistics(
                [entry.value for entry in entries], [entry.polarity.value for entry in entries]
            ),
            "experienced_rev": user.state.rev,
            "experienced_release": release,
            "experienced_written_at": user.now,
        },
        source_rev=user.state.rev,
        release=release,
        slot=slot,
    )


def _drifts(users: Sequence[_User], sums: np.ndarray, vectors: Any) -> list[float | None]:  # noqa: ANN401
    """1 - cosine between what was experienced at the last refresh and now; None where either is nothing.

    Both come from the ring and the same vectors, so no baseline has to be stored and a new release changes nothing.
    """
    before = experienced_many(
        [effective(e for e in user.state.ring if e.rev <= user.state.refreshed_rev) for user in users],
        vectors,
        (FACTORS, DIM),
    ).reshape(len(users), -1)
    now = sums.reshape(len(users), -1)
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(now, axis=1)
    dots = np.einsum("ij,ij->i", before, now)
    return [
        None if norm == 0 else float(min(2.0, max(0.0, 1.0 - dot / norm)))
        for dot, norm in zip(dots, norms, strict=True)
    ]
