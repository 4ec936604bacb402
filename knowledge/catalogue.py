"""The catalogue artefact: which items anchor a user's expectations, and which may be named in them."""

import hashlib
import json
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from knowledge.base import TerminalError, check_id

RECORDED_CATALOGUE_VERSION = "ml-100k-1"


@dataclass(frozen=True)
class Catalogue:
    """`anchors`: A items in the fixed order of the anchor values; `shortlist`: items that may be expected.

    `version` changes with the anchors or with how items are chosen. It is apart from the prompts' template version: a
    new shortlist item does not void old answers.
    """

    version: str
    anchors: tuple[str, ...]
    shortlist: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, ids in (("anchors", self.anchors), ("shortlist", self.shortlist)):
            if not ids or len(set(ids)) != len(ids):
                raise TerminalError("bad_catalogue", f"{name} of catalogue {self.version} are empty or named twice")
            for item_id in ids:
                check_id(item_id)

    def trimmed(self, size: int) -> "Catalogue":
        """At most `size` items of the shortlist, for an LLM with a short context.

        Anchors come first (the most-touched items of clusters: known and diverse), then the others by the hash of
        their id. The result is in hash order, so that a place in the list says nothing about fame.
        """
        if size < 1:
            raise ValueError("a shortlist has at least one item")
        if size >= len(self.shortlist):
            return self
        anchors = set(self.anchors)
        chosen = sorted(self.shortlist, key=lambda item_id: (item_id not in anchors, _spread(item_id)))[:size]
        return replace(self, version=f"{self.version}-{size}", shortlist=tuple(sorted(chosen, key=_spread)))

    def with_retrieved(self, retrieved: Iterable[str]) -> "Catalogue":
        """The same catalogue, whose shortlist also holds items found for one user; the version stays."""
        more = tuple(dict.fromkeys(retrieved))
        known = set(self.shortlist)
        return replace(self, shortlist=self.shortlist + tuple(item_id for item_id in more if item_id not in known))

    def known(self, titles: Container[str]) -> "Catalogue":
        """Without the items that have no title: an LLM can say nothing about them, and ids alone invite guessing.

        Raises:
            TerminalError: `no_titles` if no anchor or no item of the shortlist has one.
        """
        anchors = tuple(item_id for item_id in self.anchors if item_id in titles)
        shortlist = tuple(item_id for item_id in self.shortlist if item_id in titles)
        if not anchors or not shortlist:
            raise TerminalError(
                "no_titles", f"no titles for the items of catalogue {self.version}: load the item profiles first"
            )
        return replace(self, anchors=anchors, shortlist=shortlist)


def _spread(item_id: str) -> bytes:
    return hashlib.sha256(item_id.encode()).digest()


@cache
def recorded_catalogue() -> Catalogue:
    """The 40 anchors and 560 shortlist films of the recorded MovieLens-100K knowledge."""
    resource = files("knowledge") / "data" / "ml-100k" / "catalogue.json"
    parts = json.loads(resource.read_text(encoding="utf-8"))
    return Catalogue(RECORDED_CATALOGUE_VERSION, tuple(parts["anchors"]), tuple(parts["shortlist"]))
