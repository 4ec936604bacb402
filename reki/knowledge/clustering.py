"""Which clusters a collective run uses: those that are there while they still fit, else new ones."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from encoders.balance import MIN_MEMBERS
from encoders.cluster_files import load_clusters
from encoders.clusters import Clusters, build_clusters, clusters_for_budget
from knowledge.base import TerminalError
from knowledge.catalogue import Catalogue
from knowledge.collective import ClusterRequest, CollectiveStore, cluster_prompt
from knowledge.collective.prompt import ITEM_CLUSTER_TEMPLATE, USER_CLUSTER_TEMPLATE
from knowledge.prompts import Limits
from knowledge.scenario import Scenario
from reki.knowledge.measured import BYTES_PER_TOKEN, measured
from reki.knowledge.plan import longest
from reki.knowledge.population import Population

MOST_CLUSTERS = 200  # where nobody says how many
_AVERAGE = 2 * MIN_MEMBERS


@dataclass(frozen=True)
class Chosen:
    """Clusters, whether they are new, and why, in words."""

    clusters: Clusters
    is_new: bool
    why: str


def choose(
    folder: Path, entity: str, population: Population, k: int | None, budgeted: bool, recluster: bool, seed: int = 0
) -> Chosen:
    """Clusters for `population`; new ones are not written yet (`write_clusters(folder, ...)`).

    The newest ones on disk are used if they live in the same space, are as many as wanted (`k`; about as many with a
    budget, any number without a wish) and have not drifted. Raises `TerminalError` (`too_many_clusters`).
    """
    wanted = k or max(1, min(MOST_CLUSTERS, len(population.ids) // _AVERAGE))
    held = None if recluster else _newest(folder)
    why = "clustered anew, as asked" if recluster else "newly made: there were none yet"
    if held is not None:
        why = _unfit(held, population, k, budgeted)
        if not why:
            return Chosen(held, False, f"clusters {held.version} still fit")
    clusters = build_clusters(
        population.ids,
        population.vectors,
        wanted,
        entity=entity,
        representation=population.representation,
        min_members=MIN_MEMBERS,
        seed=seed,
    )
    return Chosen(clusters, True, why)


def described(clusters: Clusters, whom: str, why: str, count: int, without: int) -> str:
    """The clusters in one sentence; `whom` (users or items) of whom there are `count`, and `without` have no vector."""
    least, most = int(clusters.counts.min()), int(clusters.counts.max())
    groups = "1 cluster" if clusters.k == 1 else f"{clusters.k:,} clusters of {least}"
    if clusters.k > 1:
        groups += f" to {most}" if most > least else " each"
    text = f"{count:,} {whom} in {groups} ({why})"
    if least < MIN_MEMBERS:
        text += f"; a trial only: fewer than the {MIN_MEMBERS} that a cluster needs to hide the single one"
    if without:
        text += f"; {without:,} left out, as there is nothing of them to make a vector from"
    return text


def clusters_paid_for(
    budget: int,
    entity: str,
    population: Population,
    scenario: Scenario,
    asked: tuple[Catalogue, dict[str, str], Limits],
    store: Path,
    model: str,
) -> int:
    """How many clusters a token budget pays for, by what a call cost here so far, else by a prompt made for trial."""
    run = measured(store, model, f"{entity}_cluster")
    if run is not None:
        each = (run.tokens_in + run.tokens_out) // run.calls
    else:
        trial = tuple(population.members[one] for one in population.ids[: 2 * MIN_MEMBERS])
        ids = [member.entity_id for member in trial]
        request = ClusterRequest(entity, 0, "trial", trial, tuple(ids[:6]), tuple(ids[6:10]))
        prompt = cluster_prompt(scenario, *asked[:2], request, asked[2])
        size = sum(len(str(message["content"]).encode()) for message in prompt.messages)
        each = round(size / BYTES_PER_TOKEN) + longest(prompt.schema)
    return clusters_for_budget(budget, max(1, each), len(population.ids))


def answers_of(
    folder: Path, clusters: Clusters, scenario: Scenario, catalogue: Catalogue, model: str
) -> CollectiveStore:
    """The answers about these clusters by this model, to these prompts: another model is asked anew."""
    template = USER_CLUSTER_TEMPLATE if clusters.entity == "user" else ITEM_CLUSTER_TEMPLATE
    listed = [catalogue.version, *catalogue.anchors, *catalogue.shortlist] if clusters.entity == "user" else []
    asked = json.dumps([model, template, scenario.model_dump(mode="json"), listed])
    name = f"{clusters.version}-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"
    return CollectiveStore(folder / "answers" / f"{name}.jsonl")


def _newest(folder: Path) -> Clusters | None:
    found = sorted(folder.glob("*/clusters.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(found):
        try:
            return load_clusters(path.parent)
        except TerminalError:  # of another version of this program, or damaged: new ones are made
            continue
    return None


def _unfit(held: Clusters, population: Population, k: int | None, budgeted: bool) -> str:
    if held.representation != population.representation:
        return "the earlier ones live in another vector space"
    if k is not None and not (0.5 * k <= held.k <= 1.25 * k if budgeted else held.k == k):
        return f"the earlier ones are {held.k}, not {k}"
    if not 0.5 * len(held.members) <= len(population.ids) <= 2 * len(held.members):
        return f"the earlier ones were made of {len(held.members)}, not of {len(population.ids)}"
    drift = held.drift(population.ids, population.vectors)
    if drift.recluster:
        return (
            f"the earlier ones have drifted: {drift.moved:.0%} are nearer to another cluster, similarity "
            f"{drift.similarity_then:.2f} then and {drift.similarity_now:.2f} now"
        )
    return ""
