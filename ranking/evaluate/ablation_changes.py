"""What a row of the ablations has another of than `ours`, and which columns follow from it. Data alone."""

from dataclasses import dataclass

from knowledge.scenario import load_scenario
from ranking.variants import VARIANTS, Variant

_OURS = VARIANTS["ours"].groups
_ANCHORS = ("anchors_level", "anchors_knowledge", "anchors_collaborative", "anchors_itself")
# Columns of `ours` that read items' vectors, the expectations of users, events beyond the newest H.
ITEM_VECTORS = (
    *("experienced_mean", "neighbourhood_mean", "taste_knowledge", "taste"),
    *("expected", "anchors_knowledge", "anchored"),
)
EXPECTATIONS = ("expected", *_ANCHORS, "anchored")
WHOLE_RING = ("statistics", "experienced_mean")
CLUSTERS = (50, 100, 200)
ALL = 0  # a ring of all events


@dataclass(frozen=True)
class Change:
    """Inputs that differ from those of `ours`; None: they do not."""

    groups: tuple[str, ...]  # columns that are computed anew; all others are the fold's own
    absent: tuple[str, ...] = ()  # columns that the row does not have
    without: str | None = None  # a factor
    dim: int | None = None  # d
    ring: int | None = None  # N; 0 = all events
    clusters: int | None = None  # users' knowledge is that of so many groups
    likes: bool = True  # expected likes and dislikes
    anchors: bool = True  # expected values of the anchors
    words: bool = False  # texts are told apart by their words (TF-IDF and SVD), by no sentence encoder

    def variant(self, name: str) -> Variant:
        """What the ranker reads."""
        groups = {group: source for group, source in _OURS.items() if group not in self.absent}
        return Variant(name, groups, factors=len(load_scenario("films").factors) - (self.without is not None))


CHANGES: dict[str, Change] = {
    "likes_only": Change(("anchored",), absent=_ANCHORS, anchors=False),
    "anchors_only": Change(("anchored",), absent=("expected",), likes=False),
    **{f"no_{factor}": Change(ITEM_VECTORS, without=factor) for factor in load_scenario("films").factors},
    "dim_8": Change(ITEM_VECTORS, dim=8),
    "dim_32": Change(ITEM_VECTORS, dim=32),
    "ring_50": Change(WHOLE_RING, ring=50),
    "ring_200": Change(WHOLE_RING, ring=200),
    "ring_all": Change(WHOLE_RING, ring=ALL),
    **{f"clusters_{k}": Change(EXPECTATIONS, clusters=k) for k in CLUSTERS},
    "tfidf": Change(ITEM_VECTORS, words=True),
}
