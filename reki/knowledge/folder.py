"""Users and items of a data set on disk, for a run without any stack.

Either MovieLens-100K as published, or three files of JSON lines, one record of the topics a line: `items.jsonl`
(`ItemProfile`), `events.jsonl` (`BehaviorEvent`), `profiles.jsonl` (`UserProfile`; may be missing).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

from pydantic import BaseModel, ValidationError

from knowledge.base import Action, BehaviorEvent, ItemProfile, TerminalError, UserProfile
from knowledge.prompts import facts_line
from knowledge.requests import HistoryEntry, UserRequest
from knowledge.scenario import Outcome, Scenario
from ranking.datasets.movielens import load
from ranking.split import history_length
from reki.knowledge.subjects import ItemSubject, UserSubject, in_order

Record = TypeVar("Record", bound=BaseModel)


@dataclass
class FolderSubjects:
    """`subjects.Subjects` of a folder; all of it in memory. `histories`: per user, in order of arrival."""

    profiles: dict[str, ItemProfile]
    people: dict[str, Mapping[str, str]]
    ring_size: int
    histories: dict[str, list[HistoryEntry]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, scenario: Scenario, ring_size: int, training_split: bool = False) -> Self:
        """Read it.

        `training_split`: of each user only the first half of the events, at most 30, which training may show an LLM;
        the others are targets.

        Raises `TerminalError` (`no_data`, `bad_data`; `bad_value` and `bad_action` by the scenario).
        """
        if (folder / "events.jsonl").exists() or (folder / "items.jsonl").exists():
            subjects = cls({}, {}, ring_size)
            subjects._take_lines(folder, scenario)
        else:
            data = load(folder)
            people: dict[str, Mapping[str, str]] = {user: profile.fields for user, profile in data.users.items()}
            subjects = cls(data.items, people, ring_size)
            for rating in data.ratings:
                outcome = scenario.outcome(Action.RATE, rating.value)
                subjects._add(rating.user_id, rating.item_id, outcome, rating.at, scenario)
        if training_split:
            subjects.histories = {user: own[: history_length(len(own))] for user, own in subjects.histories.items()}
        return subjects

    def titles(self, item_ids: Sequence[str]) -> Mapping[str, str]:
        """Titles."""
        return {item: self.profiles[item].title for item in item_ids if item in self.profiles}

    def user_ids(self, missing: bool = False) -> list[str]:
        """Users with events; nothing is in force here, so all are `missing`."""
        return in_order(self.histories)

    def item_ids(self, missing: bool = False) -> list[str]:
        """All items."""
        return in_order(self.profiles)

    def users(self, ids: Sequence[str]) -> Iterator[UserSubject]:
        """Requests."""
        for user in ids:
            history = self.histories[user]
            request = UserRequest(
                user_id=user,
                profile=dict(self.people.get(user, {})),
                history=tuple(history[-self.ring_size :]),
                source_rev=len(history),
                source_through=max(entry.occurred_at for entry in history[-self.ring_size :]),
                previous=None,
                generation=0,
            )
            yield UserSubject(request)

    def items(self, ids: Sequence[str]) -> Iterator[ItemSubject]:
        """Profiles."""
        for item in ids:
            if item in self.profiles:
                yield ItemSubject(self.profiles[item])

    def _take_lines(self, folder: Path, scenario: Scenario) -> None:
        self.profiles |= {item.item_id: item for item in _records(folder / "items.jsonl", ItemProfile)}
        if (folder / "profiles.jsonl").exists():
            self.people |= {one.user_id: one.fields for one in _records(folder / "profiles.jsonl", UserProfile)}
        if not (folder / "events.jsonl").exists():
            return
        # Stable: events of the same moment keep the order of the file.
        for event in sorted(_records(folder / "events.jsonl", BehaviorEvent), key=lambda event: event.occurred_at):
            outcome = scenario.outcome(event.action, event.value)
            self._add(event.user_id, event.item_id, outcome, event.occurred_at, scenario)

    def _add(self, user_id: str, item_id: str, outcome: Outcome, at: datetime, scenario: Scenario) -> None:
        item = self.profiles.get(item_id)
        title = item.title if item else f"item {item_id}"
        facts = facts_line(scenario, item.fields) if item else ""
        entry = HistoryEntry(item_id, title, outcome.value, outcome.polarity, at, facts)
        self.histories.setdefault(user_id, []).append(entry)


def _records(path: Path, kind: type[Record]) -> Iterator[Record]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    try:
                        yield kind.model_validate_json(line)
                    except ValidationError as error:
                        first = error.errors(include_input=False, include_url=False)[0]
                        where = ".".join(str(part) for part in first["loc"])
                        raise TerminalError("bad_data", f"{path}:{number}: {where or 'line'}: {first['msg']}") from None
    except FileNotFoundError:
        raise TerminalError("no_data", f"{path} is missing") from None
    except UnicodeDecodeError as error:
        raise TerminalError("bad_data", f"{path} is not UTF-8: {error}") from None
