"""From clusters' knowledge to one entity's: pure functions, thousands of entities a second, no call.

Texts are the nearest cluster's, word for word: sentences of two groups mixed would contradict each other, and equal
texts are encoded once. Expectations are weighted over the entity's clusters.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from knowledge.base import Expectations, Knowledge, KnowledgeMode, TerminalError
from knowledge.collective.records import ClusterKnowledge
from knowledge.scenario import Scenario

Membership = Sequence[tuple[int, float]]  # (cluster, weight), the nearest first

_TRUST_AFTER = 5.0  # own events at which a user's own mean counts half
_LEAST_WEIGHT = 0.001


def assemble_user(
    entity_id: str,
    membership: Membership,
    held: Mapping[int, ClusterKnowledge],
    own_values: Mapping[str, float],
    scenario: Scenario,
    *,
    source_rev: int,
    source_through: datetime | None = None,
    most: int = 15,
) -> Knowledge:
    """One user's collective knowledge.

    `own_values` are the user's own newest values by item, on the scenario's scale: touched items are removed, and
    anchors are shifted by how much milder the user judges than the cluster (the difference of means, shrunk by
    n / (n + 5) for n own values), within the scale. A like weighs the sum of the weights of the clusters that like
    it, less those that dislike it; the `most` heaviest are kept on each side, with their weights.

    Clusters without knowledge, or whose knowledge has another source than the nearest's, do not count. Raises
    `TerminalError` (`no_cluster_knowledge`) if none is left.
    """
    known = _known(entity_id, membership, held)
    nearest = known[0][0]
    scores: dict[str, float] = {}
    sums: dict[str, list[float]] = {}
    mean = weight_of_mean = 0.0
    for knowledge, weight in known:
        expectations = knowledge.expectations
        if knowledge.mean_value is not None:
            mean += weight * knowledge.mean_value
            weight_of_mean += weight
        if expectations is None:
            continue
        for item_id in expectations.likes:
            scores[item_id] = scores.get(item_id, 0.0) + weight
        for item_id in expectations.dislikes:
            scores[item_id] = scores.get(item_id, 0.0) - weight
        for item_id, value in expectations.anchors.items():
            total = sums.setdefault(item_id, [0.0, 0.0])
            total[0] += weight * value
            total[1] += weight
    shift = 0.0
    if own_values and weight_of_mean:
        own = sum(own_values.values()) / len(own_values)
        shift = (own - mean / weight_of_mean) * len(own_values) / (len(own_values) + _TRUST_AFTER)
    low, high = scenario.scale.lowest, scenario.scale.highest
    anchors = {
        item_id: round(min(high, max(low, total / weight + shift)), 2)
        for item_id, (total, weight) in sums.items()
        if item_id not in own_values
    }
    ranked = sorted(((-abs(score), i) for i, score in scores.items() if i not in own_values), key=lambda pair: pair)
    ranked = [(weight, item_id) for weight, item_id in ranked if -weight >= _LEAST_WEIGHT]
    likes = [item_id for _, item_id in ranked if scores[item_id] > 0][:most]
    dislikes = [item_id for _, item_id in ranked if scores[item_id] < 0][:most]
    weights = {item_id: round(abs(scores[item_id]), 3) for item_id in (*likes, *dislikes)}
    return Knowledge(
        entity="user",
        entity_id=entity_id,
        factors=dict(nearest.factors),
        expectations=Expectations(likes=tuple(likes), dislikes=tuple(dislikes), anchors=anchors, weights=weights),
        mode=KnowledgeMode.COLLECTIVE,
        model=nearest.model,
        template_version=nearest.template_version,
        catalogue_version=nearest.catalogue_version,
        source_rev=source_rev,
        source_through=source_through,
        generated_at=nearest.generated_at,
    )


def assemble_item(entity_id: str, membership: Membership, held: Mapping[int, ClusterKnowledge]) -> Knowledge:
    """One item's collective knowledge: the texts of its nearest cluster. Raises as `assemble_user` does."""
    nearest = _known(entity_id, membership, held)[0][0]
    return Knowledge(
        entity="item",
        entity_id=entity_id,
        factors=dict(nearest.factors),
        mode=KnowledgeMode.COLLECTIVE,
        model=nearest.model,
        template_version=nearest.template_version,
        catalogue_version=nearest.catalogue_version,
        source_rev=0,
        generated_at=nearest.generated_at,
    )


def _known(
    entity_id: str, membership: Membership, held: Mapping[int, ClusterKnowledge]
) -> list[tuple[ClusterKnowledge, float]]:
    """Knowledge with weights that sum to 1, of one source: a ranker accepts knowledge by where it comes from."""
    found = [(held[cluster], weight) for cluster, weight in membership if cluster in held and weight > 0]
    if not found:
        raise TerminalError(
            "no_cluster_knowledge", f"none of the clusters of {entity_id} has knowledge yet: generate it first"
        )
    source = _source(found[0][0])
    found = [(knowledge, weight) for knowledge, weight in found if _source(knowledge) == source]
    total = sum(weight for _, weight in found)
    return [(knowledge, weight / total) for knowledge, weight in found]


def _source(knowledge: ClusterKnowledge) -> tuple[str, str, str, str]:
    return (
        knowledge.model,
        knowledge.template_version,
        knowledge.catalogue_version,
        knowledge.clusters_version,
    )
