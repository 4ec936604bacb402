"""What is asked about a cluster, and what is kept of the answer."""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field

from knowledge.answers import read_factors, read_user
from knowledge.base import EntityId, Expectations, TerminalError
from knowledge.base.records import UtcDatetime
from knowledge.cache import CachedAnswer
from knowledge.catalogue import Catalogue
from knowledge.echo import EchoCheck
from knowledge.prompts.parts import Limits, Prompt
from knowledge.requests import HistoryEntry, effective_history
from knowledge.scenario import Scenario


@dataclass(frozen=True)
class ClusterMember:
    """A user (profile and history) or an item (title and profile fields). The id never enters a prompt."""

    entity_id: str
    profile: Mapping[str, str] = field(default_factory=dict)
    history: tuple[HistoryEntry, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class ClusterRequest:
    """Ask for knowledge about one cluster.

    `members` are all of its members (counts and shares are told of them), `central` and `different` the ids of those
    who are told one by one.
    """

    entity: str
    cluster: int
    clusters_version: str
    members: tuple[ClusterMember, ...]
    central: tuple[str, ...]
    different: tuple[str, ...]

    def without(self, ids: Container[str]) -> "ClusterRequest":
        """The same question without these members; raises `TerminalError` (`forgotten`) where nobody is left."""
        members = tuple(member for member in self.members if member.entity_id not in ids)
        if not members:
            raise TerminalError("forgotten", f"cluster {self.cluster}: everybody in it was forgotten during the run")
        central, different = (tuple(one for one in told if one not in ids) for told in (self.central, self.different))
        return replace(self, members=members, central=central, different=different)

    @property
    def mean_value(self) -> float | None:
        """Mean over the members of each member's mean value; None where nobody has a history."""
        own = [fmean(entry.value for entry in effective_history(m.history)) for m in self.members if m.history]
        return fmean(own) if own else None


class ClusterKnowledge(BaseModel):
    """What an LLM said about one cluster. `fed` is personal data and stays outside of every prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity: str = Field(pattern="^(user|item)$")
    cluster: int = Field(ge=0)
    clusters_version: str
    size: int = Field(ge=1, description="Members when the question was asked.")
    factors: dict[str, str]
    expectations: Expectations | None = Field(default=None, description="Users only.")
    mean_value: float | None = Field(default=None, description="The members' own mean value when it was asked.")
    fed: tuple[EntityId, ...] = Field(description="Whose data the prompt was made of, without the forgotten.")
    stale: bool = Field(default=False, description="Somebody who fed it was forgotten: ask again.")
    model: str
    template_version: str
    catalogue_version: str
    generated_at: UtcDatetime
    prompt_hash: str | None = Field(default=None, description="Names the answer in the cache.")
    tokens_in: int = Field(default=0, ge=0)
    tokens_cached: int = Field(default=0, ge=0)
    tokens_out: int = Field(default=0, ge=0)

    def without(self, entity_id: str) -> "ClusterKnowledge":
        """After a member was forgotten: stale, and without the id. Itself if that member did not feed it."""
        if entity_id not in self.fed:
            return self
        left = tuple(fed for fed in self.fed if fed != entity_id)
        return self.model_copy(update={"fed": left, "stale": True})


def read_cluster(
    request: ClusterRequest,
    prompt: Prompt,
    answer: CachedAnswer,
    scenario: Scenario,
    catalogue: Catalogue,
    limits: Limits,
    prompt_hash: str | None = None,
) -> tuple[ClusterKnowledge, Counter[str]]:
    """A cluster's answer as a record, and what was mended in it, by reason.

    Items that some members know may be expected of the cluster; `assemble_user` removes what somebody has touched.
    Sentences that repeat the prompt, an address or a member's id are taken out of the texts: a cluster's are read by
    all of its members.
    `limits` are those of the prompt. Raises what `knowledge.answers.read_user` raises.
    """
    expectations: Expectations | None = None
    ids = {member.entity_id for member in request.members}
    if request.entity == "user":
        ids |= {*catalogue.shortlist, *(entry.item_id for member in request.members for entry in member.history)}
    echo = EchoCheck.of((message["content"] for message in prompt.messages), ids)
    if request.entity == "user":
        read = read_user(answer.data, scenario, catalogue, (), limits, echo=echo)
        factors, expectations, repairs = read.factors, read.expectations, read.repairs
    else:
        factors, repairs = read_factors(answer.data, scenario, limits, echo=echo)
    knowledge = ClusterKnowledge(
        entity=request.entity,
        cluster=request.cluster,
        clusters_version=request.clusters_version,
        size=len(request.members),
        factors=factors,
        expectations=expectations,
        mean_value=request.mean_value,
        fed=tuple(member.entity_id for member in request.members),
        model=answer.model,
        template_version=prompt.template_version,
        catalogue_version=catalogue.version if request.entity == "user" else "none",
        generated_at=answer.generated_at,
        prompt_hash=prompt_hash,
        tokens_in=answer.tokens_in,
        tokens_cached=answer.tokens_cached,
        tokens_out=answer.tokens_out,
    )
    return knowledge, repairs
