"""Sizes of a ranker; part of a release. Standard library only."""

from dataclasses import dataclass

# Groups of the matching head's columns (see ranking/head.py), in the order in which the first releases have them.
FIRST_GROUPS = (
    *("experienced", "expected", "neighbourhood"),
    *("anchors_level", "anchors_knowledge", "anchors_collaborative", "anchors_itself"),
    *("statistics", "since"),
)


@dataclass(frozen=True)
class RankerShape:
    """Everything that fixes the sizes of a ranker's weights. Defaults of later fields: what earlier releases had."""

    vocabulary: int  # item indices, padding (0) and unknown (1) included
    factors: int = 9  # F
    dim: int = 16  # d
    summary: int = 32
    anchors: int = 40  # A
    statistics: int = 5  # S: four of encoders.statistics, and log1p(events since the knowledge)
    backbone: str = "din"
    knowledge: bool = True  # False: the backbone alone, ids and history ("without knowledge")
    embedding: int = 32  # width of an item's id embedding
    backbone_history: int = 10  # newest entries that the backbone attends to; the head reads all H
    hidden: tuple[int, ...] = (200, 80)
    dropout: float = 0.3
    middle: float = 3.5  # centre and spread of the scenario's values, for history values
    spread: float = 1.1
    groups: tuple[str, ...] = FIRST_GROUPS  # columns of the matching head; none = no head
    summaries: bool = True  # HEIN's summaries of both sides as fields
    collaborative: int = 0  # width of the items' collaborative vectors; 0 = none
    head_hidden: int = 64  # width of the layer over the head's columns
    head_reweighs: bool = False  # what a column of the head is worth depends on which parts are missing
