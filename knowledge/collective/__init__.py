"""Collective extraction: one LLM answer for a cluster of users or items, handed to its members by soft weights.

This room knows no vectors: who is in a cluster, who is central to it and how much it weighs for somebody comes from
`encoders`. The grouping is REKI's idea (arXiv 2408.10520); prompt, assembly and scaling are ours.
"""

from knowledge.collective.assembly import Membership, assemble_item, assemble_user
from knowledge.collective.live import CollectiveSource
from knowledge.collective.prompt import EMBEDDED_GROUP_LIMITS, GROUP_LIMITS, cluster_prompt
from knowledge.collective.records import ClusterKnowledge, ClusterMember, ClusterRequest, read_cluster
from knowledge.collective.store import CollectiveStore

__all__ = [
    "EMBEDDED_GROUP_LIMITS",
    "GROUP_LIMITS",
    "ClusterKnowledge",
    "ClusterMember",
    "ClusterRequest",
    "CollectiveSource",
    "CollectiveStore",
    "Membership",
    "assemble_item",
    "assemble_user",
    "cluster_prompt",
    "read_cluster",
]
