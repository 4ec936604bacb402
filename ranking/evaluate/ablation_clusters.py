"""Knowledge of users from the recorded knowledge of groups of them: what collective extraction would have said of each.

Clusters are those that the recorded answers are about. Users are placed by their experienced vectors over their first
`history_length` ratings; no later rating, nor any recorded knowledge of a user, is read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from encoders.balance import means
from encoders.clusters import TEMPERATURE, TOP_M, Clusters
from encoders.collective import memberships
from encoders.experienced import experienced_many
from encoders.history import effective
from encoders.representation import unit, user_representation
from knowledge.base import Expectations, Knowledge, Polarity
from knowledge.catalogue import recorded_catalogue
from knowledge.collective import ClusterKnowledge, ClusterMember, assemble_item, assemble_user
from knowledge.recorded import RECORDED_AT, RECORDED_MODEL, RecordedStore
from knowledge.requests import HistoryEntry
from knowledge.scenario import Scenario, load_scenario
from ranking.datasets.movielens import MovieLens
from ranking.sources import Sources
from ranking.split import history_length

TEMPLATE = "recorded-clusters-1"
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Event:
    """An event of a history, as `encoders.history` wants it."""

    item_id: str
    value: float
    polarity: Polarity
    occurred_at: int
    offset: int
    rev: int


@dataclass(frozen=True)
class Population:
    """Everybody who is clustered: ids, representations f32[n, D] and what a prompt may tell of each."""

    ids: list[str]
    vectors: Vectors
    members: dict[str, ClusterMember]
    representation: str


def users(data: MovieLens, scenario: Scenario, vectors: Mapping[str, Vectors], encoder_id: str) -> Population:
    """All users by their experienced vectors; `vectors` maps an item to its f32[F, d]."""
    members, rings = {}, []
    for user_id, ratings in data.by_user().items():
        # The recorded knowledge orders by (time, item id); so do `ratings`. What comes later is never looked at.
        seen = ratings[: history_length(len(ratings))]
        outcomes = [scenario.outcome("rate", rating.value) for rating in seen]
        history = tuple(
            HistoryEntry(r.item_id, data.items[r.item_id].title, o.value, o.polarity, r.at)
            for r, o in zip(seen, outcomes, strict=True)
        )
        members[user_id] = ClusterMember(user_id, data.users[user_id].fields, history)
        rings.append(
            effective(
                Event(e.item_id, e.value, e.polarity, int(e.occurred_at.timestamp()), -1, rev)
                for rev, e in enumerate(history, start=1)
            )
        )
    factors, dim = next(iter(vectors.values())).shape
    experienced = experienced_many(rings, vectors, (factors, dim))
    return Population(list(members), user_representation(experienced), members, f"experienced|pca|{encoder_id}")


def recorded_clusters(entity: str, k: int, population: Population) -> tuple[Clusters, dict[int, ClusterKnowledge]]:
    """The recorded clusters of `user` or `item`, and what was said of each.

    Centroids are the means of the members named, so that another machine's last bit moves nobody to another cluster.
    """
    folder = files("knowledge") / "data" / "ml-100k" / "clusters"
    text = (folder / f"{entity}s-{k}.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    label = {member: line["cluster"] for line in lines for member in line["members"]}
    labels = np.array([label[i] for i in population.ids], dtype=np.int64)
    centre = population.vectors.astype(np.float64).mean(axis=0).astype(np.float32)
    placed = unit(population.vectors - centre)
    centroids = unit(means(placed.astype(np.float64), labels, k).astype(np.float32))
    counts = np.bincount(labels, minlength=k).astype(np.int64)
    similar = placed @ centroids.T
    own = similar[np.arange(len(labels)), labels].astype(np.float64)
    quality = (np.bincount(labels, weights=own, minlength=k) / np.maximum(counts, 1)).astype(np.float32)
    nearest = similar.argmax(axis=1).tolist()
    places = {i: (int(mine), near) for i, mine, near in zip(population.ids, labels, nearest, strict=True)}
    clusters = Clusters(entity, population.representation, 0, centre, centroids, counts, quality, places)
    return clusters, {line["cluster"]: _held(entity, line, clusters.version) for line in lines}


def assembled(
    held: dict[int, ClusterKnowledge],
    clusters: Clusters,
    population: Population,
    top_m: int = TOP_M,
    temperature: float = TEMPERATURE,
) -> list[Knowledge]:
    """Collective knowledge of everybody, in the order of the population."""
    scenario, made = load_scenario("films"), []
    shares = memberships(clusters, population.vectors, top_m, temperature)
    for entity_id, own in zip(population.ids, shares, strict=True):
        if clusters.entity == "item":
            made.append(assemble_item(entity_id, own, held))
            continue
        history = population.members[entity_id].history
        values = {entry.item_id: entry.value for entry in history}
        through = max(entry.occurred_at for entry in history)
        made.append(
            assemble_user(entity_id, own, held, values, scenario, source_rev=len(history), source_through=through)
        )
    return made


def with_knowledge(
    sources: Sources, users: Sequence[Knowledge] | None, items: Sequence[Knowledge] | None = None
) -> Sources:
    """The same data with other knowledge of users or of items; None: as it is."""
    store = sources.store
    texts = store.items() if items is None else {one.entity_id: dict(one.factors) for one in items}
    people = store.users() if users is None else {one.entity_id: one for one in users}
    records = {user: [people[user]] for user in store.users() if user in people}
    return replace(sources, store=RecordedStore(store.catalogue, texts, records, dict(store.history_length)))


def _held(entity: str, line: Mapping[str, Any], version: str) -> ClusterKnowledge:
    catalogue, expectations = recorded_catalogue(), None
    if entity == "user":
        anchors = {i: v for i, v in zip(catalogue.anchors, line["anchors"], strict=True) if v is not None}
        expectations = Expectations(likes=line["likes"], dislikes=line["dislikes"], anchors=anchors)
    return ClusterKnowledge(
        entity=entity,
        cluster=line["cluster"],
        clusters_version=version,
        size=len(line["members"]),
        factors=line["factors"],
        expectations=expectations,
        mean_value=line.get("mean_value"),
        fed=line["members"],
        model=RECORDED_MODEL,
        template_version=TEMPLATE,
        catalogue_version=catalogue.version,
        generated_at=RECORDED_AT,
    )
