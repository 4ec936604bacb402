"""A Feast repository of its own for training data, in one folder; no online store is touched."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feature_repo.offline import OfflineBuffer
from feature_repo.past_rows import past_row
from feature_repo.settings import FeatureSettings
from knowledge.base import Clock, SystemClock, TerminalError, micros
from ranking.offline.rows import Prestored, Timed, item_row

# A release's item vectors belong to no moment of the log: they are readable before its first event.
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TrainingStore:
    """Lance data sets, registry and definitions below `folder`.

    Never the folder of a live system: `reki rebuild` would take the newest row of the log for a user's state.
    """

    folder: Path

    @property
    def settings(self) -> FeatureSettings:
        """Those of the repository."""
        return FeatureSettings(
            namespace="training",
            offline_dir=self.folder / "offline",
            registry_path=self.folder / "registry.db",
            feast_repo=self.folder / "repo",
        )

    def create(self) -> None:
        """Write and apply the definitions. Raises `TerminalError` (`not_empty`) where rows are already."""
        from feature_repo import repo

        offline = OfflineBuffer(self.settings.offline_dir)
        if offline.count("user_history"):
            raise TerminalError("not_empty", f"{self.folder} holds training rows already: give another folder")
        repo.apply(self.settings)

    def feast(self) -> Any:  # noqa: ANN401 - feast.FeatureStore, whose import takes seconds
        """The plain Feast store over this folder."""
        from feast import FeatureStore

        return FeatureStore(repo_path=str(self.settings.feast_repo))


class RowWriter:
    """Appends rows to a training store. Call `close` at the end."""

    def __init__(self, store: TrainingStore, clock: Clock | None = None) -> None:
        # By rows alone: nobody waits for them.
        self._offline = OfflineBuffer(store.settings.offline_dir, flush_rows=10_000, flush_s=float("inf"))
        self._written_at = micros((clock or SystemClock()).now())
        self.rows = 0

    def items(self, prestored: Prestored) -> None:
        """All items' vectors."""
        for item_id in prestored.item_vec:
            self._append("item", item_id, item_row(item_id, prestored), ALWAYS)

    def user(self, user_id: str, rows: Iterable[Timed]) -> None:
        """One user's rows (`ranking.offline.rows.user_rows`)."""
        for row, at in rows:
            self._append("user", user_id, row, at)

    def close(self) -> None:
        """Return when every row is on disk."""
        self._offline.close()

    def _append(self, entity: str, entity_id: str, row: Any, at: datetime) -> None:  # noqa: ANN401
        view, made = past_row(entity, entity_id, row, at, self._written_at)
        self._offline.append(view, [made])
        self.rows += 1
