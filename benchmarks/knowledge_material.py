"""MovieLens-100K as the questions of each mode, and the answers that stand in where no LLM was asked."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.cluster_prompts import cluster, item_vectors, populate
from encoders.clusters import Clusters
from encoders.collective import cluster_requests
from encoders.experienced import experienced_many
from encoders.history import effective
from encoders.settings import EncoderSettings
from knowledge.base import Knowledge
from knowledge.catalogue import Catalogue, recorded_catalogue
from knowledge.collective import ClusterRequest
from knowledge.prompts import facts_line
from knowledge.recorded import RecordedStore
from knowledge.requests import HistoryEntry, UserRequest
from knowledge.scenario import Scenario, load_scenario
from knowledge.settings import KnowledgeSettings
from ranking.datasets.movielens import MovieLens
from ranking.evaluate.ablation_clusters import Event, Population
from ranking.split import history_length

NEXT_EVENTS = 20
_GROUP_ITEMS = 20  # likes, and dislikes, of a cluster
_MIDDLE = 3  # where the record has no value for an anchor, because the user had rated it


@dataclass(frozen=True)
class Material:
    """The data set, the recorded knowledge, and everybody's history with facts, as the refresh worker tells them."""

    data: MovieLens
    settings: EncoderSettings
    scenario: Scenario
    store: RecordedStore
    catalogue: Catalogue
    titles: dict[str, str]
    histories: dict[str, tuple[HistoryEntry, ...]]
    known: dict[str, int]

    @classmethod
    def of(cls, data: MovieLens, settings: EncoderSettings) -> "Material":
        scenario = load_scenario("films")
        facts = {item_id: facts_line(scenario, profile.fields) for item_id, profile in data.items.items()}
        titles = {item_id: profile.title for item_id, profile in data.items.items()}
        histories, known = {}, {}
        for user_id, ratings in data.by_user().items():
            known[user_id] = history_length(len(ratings))
            told = []
            for rating in ratings[: known[user_id] + NEXT_EVENTS]:
                outcome = scenario.outcome("rate", rating.value)
                item_id = rating.item_id
                told.append(
                    HistoryEntry(item_id, titles[item_id], outcome.value, outcome.polarity, rating.at, facts[item_id])
                )
            histories[user_id] = tuple(told)
        shortlist = KnowledgeSettings(llm="openai", llm_base_url="http://127.0.0.1:9/v1", llm_model="m").shortlist_size
        catalogue = recorded_catalogue().trimmed(shortlist)
        return cls(data, settings, scenario, RecordedStore.load(), catalogue, titles, histories, known)

    def request(self, user_id: str, rev: int, seen: int | None = None) -> UserRequest:
        """A question after `rev` events; with `seen` an incremental one, whose earlier texts are the recorded ones."""
        history = self.histories[user_id][:rev]
        return UserRequest(
            user_id=user_id,
            profile=self.data.users[user_id].fields,
            history=history,
            source_rev=rev,
            source_through=history[-1].occurred_at,
            previous=None if seen is None else self.recorded(user_id, seen),
            generation=1,
            new_events=None if seen is None else rev - seen,
        )

    def recorded(self, user_id: str, rev: int) -> Knowledge:
        """The newest recorded knowledge of at most `rev` events."""
        found = self.store.newest(user_id, -1, rev)
        if found is None:
            raise ValueError(f"no recorded knowledge of user {user_id}")
        return found

    def user_answer(self, user_id: str, rev: int, *, factors: bool = True) -> dict[str, Any]:
        """The recorded knowledge as the answer that a prompt asks for; without factors: none has changed."""
        found = self.recorded(user_id, rev)
        expected = found.expectations
        return {
            "factors": found.factors if factors else {},
            "likes": list(expected.likes) if expected else [],
            "dislikes": list(expected.dislikes) if expected else [],
            "anchors": self._anchors([found]),
        }

    def item_answer(self, item_id: str) -> dict[str, Any]:
        """The recorded texts of an item as an answer."""
        return {"factors": self.store.items()[item_id]}

    def cluster_answers(self, requests: Sequence[ClusterRequest]) -> tuple[list[dict[str, Any]], int]:
        """Answers about clusters, and how many of them are recorded ones of the same members.

        Where there is none, the most central member's recorded texts and 20 + 20 ids of members' records stand in.
        """
        kept = _recorded(requests[0].entity, len(requests))
        named = [kept.get(frozenset(member.entity_id for member in one.members)) for one in requests]
        answers = [
            self._stand_in(one) if line is None else self._of_line(line)
            for one, line in zip(requests, named, strict=True)
        ]
        return answers, sum(line is not None for line in named)

    def _of_line(self, line: dict[str, Any]) -> dict[str, Any]:
        answer = {"factors": line["factors"]}
        if "likes" in line:
            anchors = zip(recorded_catalogue().anchors, line["anchors"], strict=True)
            answer |= {"likes": line["likes"], "dislikes": line["dislikes"]}
            answer["anchors"] = {i: _MIDDLE if value is None else int(value) for i, value in anchors}
        return answer

    def _stand_in(self, request: ClusterRequest) -> dict[str, Any]:
        if request.entity == "item":
            return self.item_answer(request.central[0])
        users = self.store.users()
        members = [users[i] for i in (*request.central, *(member.entity_id for member in request.members))]
        expected = [one.expectations for one in members if one.expectations]
        likes = list(dict.fromkeys(i for one in expected for i in one.likes))[:_GROUP_ITEMS]
        dislikes = list(dict.fromkeys(i for one in expected for i in one.dislikes if i not in likes))[:_GROUP_ITEMS]
        return {
            "factors": members[0].factors,
            "likes": likes,
            "dislikes": dislikes,
            "anchors": self._anchors(members),
        }

    def _anchors(self, members: Sequence[Knowledge]) -> dict[str, int]:
        held = [one.expectations.anchors for one in members if one.expectations]
        return {
            anchor: int(next((values[anchor] for values in held if anchor in values), _MIDDLE))
            for anchor in self.catalogue.anchors
        }

    @cached_property
    def populations(self) -> dict[str, Population]:
        return {entity: populate(entity, self.data, self.settings) for entity in ("user", "item")}

    def clusters(self, entity: str, k: int) -> tuple[Clusters, list[ClusterRequest]]:
        """Clusters with seed 0, and what is asked about each."""
        people = self.populations[entity]
        found = cluster(people, entity, k, 0)
        return found, list(cluster_requests(found, people.ids, people.vectors, people.members))

    def drifts(self, user_id: str, vectors: dict[str, np.ndarray]) -> "Drifts":
        history = self.histories[user_id]
        events = [
            Event(e.item_id, e.value, e.polarity, int(e.occurred_at.timestamp()), -1, rev)
            for rev, e in enumerate(history, start=1)
        ]
        rings = [effective(events[:rev]) for rev in range(self.known[user_id], len(events) + 1)]
        shape = next(iter(vectors.values())).shape
        return Drifts(self.known[user_id], experienced_many(rings, vectors, shape).reshape(len(rings), -1))


@dataclass(frozen=True)
class Drifts:
    """Experienced vectors after each number of events from `first` on, f32[n, 2 F d]."""

    first: int
    vectors: np.ndarray

    def __call__(self, before: int, now: int) -> float | None:
        """1 - cosine, as `streams.projection` measures it."""
        one, other = self.vectors[before - self.first], self.vectors[now - self.first]
        norm = float(np.linalg.norm(one) * np.linalg.norm(other))
        return None if norm == 0 else float(min(2.0, max(0.0, 1.0 - float(one @ other) / norm)))


def _recorded(entity: str, k: int) -> dict[frozenset[str], dict[str, Any]]:
    """Members -> the recorded line of their cluster; empty where nothing is recorded for this k."""
    file = files("knowledge") / "data" / "ml-100k" / "clusters" / f"{entity}s-{k}.jsonl"
    if not file.is_file():
        return {}
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {frozenset(line["members"]): line for line in lines}


def vectors_of(material: Material) -> dict[str, np.ndarray]:
    """Item id -> f32[F, d] of the recorded texts."""
    return item_vectors(material.store, material.scenario, material.settings)[0]


def unchanged_share(store: RecordedStore, users: Iterable[str]) -> dict[str, float | int]:
    """How many factor texts of recorded refreshes, written with sight of those before, are word for word the same."""
    same = total = 0
    for user_id in users:
        own = store.refreshes(user_id)
        for before, after in pairwise(own):
            total += len(after.factors)
            same += sum(before.factors.get(name) == text for name, text in after.factors.items())
    return {"texts": total, "unchanged": same}
