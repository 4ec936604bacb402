"""Users and items of a data set on disk, for a run without any stack.

Either MovieLens-100K as published, or three files of JSON lines, one record of the topics a line: `items.jsonl`
(`ItemProfile`), `events.jsonl` (`BehaviorEvent`), `profiles.jsonl` (`UserProfile`; may be missing). docs/knowledge.md
says what a line looks like.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

from pydantic import BaseModel

from knowledge.base import Action, BehaviorEvent, ItemProfile, TerminalError, UserProfile
from knowledge.base.files import fault
from knowledge.prompts import facts_line
from knowledge.requests import HistoryEntry, UserRequest
from knowledge.scenario import Outcome, Scenario
from knowledge.tombstones import Tombstones, hashed
from ranking.datasets.movielens import MovieLens, load
from ranking.split import history_length
from reki.knowledge.checks import read_record
from reki.knowledge.subjects import ItemSubject, UserSubject, in_order

Record = TypeVar("Record", bound=BaseModel)
ITEMS, EVENTS, PROFILES = "items.jsonl", "events.jsonl", "profiles.jsonl"


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

        Raises `TerminalError` (`no_data`, `bad_data`) with the file, the line and what is wrong.
        """
        if {ITEMS, EVENTS} & _names(folder):
            subjects = cls({}, {}, ring_size)
            subjects._take_lines(folder, scenario)
        else:
            data = _movielens(folder)
            people: dict[str, Mapping[str, str]] = {user: profile.fields for user, profile in data.users.items()}
            subjects = cls(data.items, people, ring_size)
            for rating in data.ratings:
                outcome = scenario.outcome(Action.RATE, rating.value)
                subjects._add(rating.user_id, rating.item_id, outcome, rating.at, scenario)
        if training_split:
            subjects.histories = {user: own[: history_length(len(own))] for user, own in subjects.histories.items()}
        return subjects

    def forget(self, tombstones: Tombstones) -> int:
        """Leave out what forgotten users did until then, and who did nothing since; how many these are."""
        names, left_out = tombstones.since(datetime.min.replace(tzinfo=UTC)), 0
        for user in [user for user in self.histories if hashed(user) in names] if names else ():
            until = tombstones.of(user)
            self.people.pop(user, None)
            self.histories[user] = [one for one in self.histories[user] if until is None or one.occurred_at > until]
            if not self.histories[user]:
                del self.histories[user]
                left_out += 1
        return left_out

    def titles(self, item_ids: Sequence[str]) -> Mapping[str, str]:
        """Titles; none of an item whose title is blank."""
        return {item: self.profiles[item].title for item in item_ids if self._is_told(item)}

    def user_ids(self, missing: bool = False) -> list[str]:
        """Users with events; nothing is in force here, so all are `missing`."""
        return in_order(self.histories)

    def item_ids(self, missing: bool = False) -> list[str]:
        """All items that have a title: of the others an LLM could say nothing, and it would be paid for."""
        return in_order([item for item in self.profiles if self._is_told(item)])

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
            if self._is_told(item):
                yield ItemSubject(self.profiles[item])

    def _is_told(self, item_id: str) -> bool:
        profile = self.profiles.get(item_id)
        return profile is not None and any(character.isalnum() for character in profile.title)

    def _take_lines(self, folder: Path, scenario: Scenario) -> None:
        self.profiles |= {item.item_id: item for _, item in _records(folder / ITEMS, ItemProfile)}
        if PROFILES in _names(folder):
            self.people |= {one.user_id: one.fields for _, one in _records(folder / PROFILES, UserProfile)}
        if EVENTS not in _names(folder):
            return
        events: list[tuple[BehaviorEvent, Outcome]] = []
        for where, event in _records(folder / EVENTS, BehaviorEvent):
            try:
                events.append((event, scenario.outcome(event.action, event.value)))
            except TerminalError as error:
                raise TerminalError("bad_data", f"{where}: {error.message}") from None
        # Stable: events of the same moment keep the order of the file.
        for event, outcome in sorted(events, key=lambda pair: pair[0].occurred_at):
            self._add(event.user_id, event.item_id, outcome, event.occurred_at, scenario)

    def _add(self, user_id: str, item_id: str, outcome: Outcome, at: datetime, scenario: Scenario) -> None:
        item = self.profiles.get(item_id)
        title = item.title if item and self._is_told(item_id) else f"item {item_id}"
        facts = facts_line(scenario, item.fields) if item else ""
        entry = HistoryEntry(item_id, title, outcome.value, outcome.polarity, at, facts)
        self.histories.setdefault(user_id, []).append(entry)


def _names(folder: Path) -> set[str]:
    """What is in it."""
    try:
        return {entry.name for entry in folder.iterdir()}
    except NotADirectoryError:
        raise TerminalError("no_data", f"{folder} is a file: name the folder that holds {ITEMS} and {EVENTS}") from None
    except FileNotFoundError:
        raise TerminalError(
            "no_data",
            f"there is no folder {folder}: name one that holds {ITEMS}, {EVENTS} and, if you like, {PROFILES}; or "
            "MovieLens-100K",
        ) from None
    except OSError as error:
        raise TerminalError("no_data", f"{folder} cannot be read: {fault(error)}") from None


def _movielens(folder: Path) -> MovieLens:
    if not {"ml-100k.inter", "u.data"} & _names(folder):
        raise TerminalError("no_data", f"{folder} holds neither {ITEMS} and {EVENTS} nor MovieLens-100K")
    try:
        return load(folder)
    except OSError as error:
        raise TerminalError("bad_data", f"{error.filename or folder} cannot be read: {fault(error)}") from None


def _records(path: Path, kind: type[Record]) -> Iterator[tuple[str, Record]]:
    """(file and line, record). A mark at the beginning of the file that says UTF-8 (BOM) is no part of a line."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    record = read_record(kind, line)
                    if isinstance(record, str):
                        raise TerminalError("bad_data", f"{path}:{number}: {record}")
                    yield f"{path}:{number}", record
    except FileNotFoundError:
        raise TerminalError("no_data", f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TerminalError("bad_data", f"{path} cannot be read: {fault(error)}") from None
