"""The catalogue artefact: which items anchor a user's expectations, and which may be named in them.

A JSON file, written by whoever chooses the items (`encoders.catalogue_build`) and read here; it needs no LLM.
"""

import hashlib
import json
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from knowledge.base import TerminalError, check_id
from knowledge.base.files import fault, refuse_existing

RECORDED_CATALOGUE_VERSION = "ml-100k-1"
FORMAT = 1

# Part of a release's `accepted_knowledge`, whose separator must not be in it.
_VERSION = re.compile(r"[A-Za-z0-9_.:@+-]{1,80}")


@dataclass(frozen=True)
class Catalogue:
    """`anchors`: A items in the fixed order of the anchor values; `shortlist`: items that may be expected.

    `version` changes with the anchors or with how items are chosen. It is apart from the prompts' template version: a
    new shortlist item does not void old answers. `made` tells how the items were chosen and from which seed (JSON
    values); it is not compared.
    """

    version: str
    anchors: tuple[str, ...]
    shortlist: tuple[str, ...]
    made: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), compare=False)

    def __post_init__(self) -> None:
        if _VERSION.fullmatch(self.version) is None:
            raise TerminalError(
                "bad_catalogue", f"{self.version[:80]!r} is no version of a catalogue: use 1 to 80 of A-Za-z0-9_.:@+-"
            )
        for name, ids in (("anchors", self.anchors), ("shortlist", self.shortlist)):
            if not ids or len(set(ids)) != len(ids):
                raise TerminalError("bad_catalogue", f"{name} of catalogue {self.version} are empty or named twice")
            for item_id in ids:
                check_id(item_id)

    @classmethod
    def named(cls, name: str, anchors: Iterable[str], shortlist: Iterable[str], made: Mapping[str, Any]) -> "Catalogue":
        """A catalogue whose version is `name` and eight digits that follow from the anchors and from how it was made.

        `made` holds the rule and the seed, nothing that changes from run to run; the shortlist stays out of the
        version.
        """
        anchors = tuple(anchors)
        told = json.dumps([anchors, dict(made)], sort_keys=True, ensure_ascii=False)
        digits = hashlib.sha256(told.encode()).hexdigest()[:8]
        return cls(f"{name}-{digits}", anchors, tuple(shortlist), dict(made))

    def write(self, path: Path) -> None:
        """Write the artefact; the file appears whole or not at all.

        Raises `TerminalError` (`exists`: a catalogue that answers refer to is never lost; `bad_file`) and `OSError`.
        """
        refuse_existing(path)
        parts = {
            "format": FORMAT,
            "version": self.version,
            "made": dict(self.made),
            "anchors": self.anchors,
            "shortlist": self.shortlist,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        draft.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(path)

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


def load_catalogue(path: Path) -> Catalogue:
    """Read an artefact; raises `TerminalError` (`bad_catalogue`) that names the file and what is wrong with it."""
    try:
        parts = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(parts, dict):
            raise TerminalError("bad_catalogue", "it must be a JSON object")
        found = parts["format"]
        if type(found) is not int or found != FORMAT:
            told = repr(found)[:80]
            raise TerminalError("bad_catalogue", f"format {told} is not {FORMAT}: it was written by another release")
        anchors, shortlist, version, made = (parts[name] for name in ("anchors", "shortlist", "version", "made"))
        if not all(isinstance(ids, list) and all(isinstance(i, str) for i in ids) for ids in (anchors, shortlist)):
            raise TerminalError("bad_catalogue", "anchors and shortlist must be lists of ids (texts)")
        if not isinstance(version, str) or not isinstance(made, dict):
            raise TerminalError("bad_catalogue", "version must be a text, and made an object")
        return Catalogue(version, tuple(anchors), tuple(shortlist), made)
    except KeyError as error:
        raise TerminalError("bad_catalogue", f"catalogue {path}: {error} is missing") from None
    except TerminalError as error:
        raise TerminalError("bad_catalogue", f"catalogue {path}: {error.message}") from None
    except RecursionError:
        raise TerminalError("bad_catalogue", f"catalogue {path} is nested too deeply to be one") from None
    except (OSError, ValueError) as error:
        raise TerminalError("bad_catalogue", f"catalogue {path} cannot be read: {fault(error)}") from None


@cache
def recorded_catalogue() -> Catalogue:
    """The 40 anchors and 560 shortlist films of the recorded MovieLens-100K knowledge."""
    resource = files("knowledge") / "data" / "ml-100k" / "catalogue.json"
    parts = json.loads(resource.read_text(encoding="utf-8"))
    return Catalogue(RECORDED_CATALOGUE_VERSION, tuple(parts["anchors"]), tuple(parts["shortlist"]))


def chosen_catalogue(path: Path | None) -> Catalogue:
    """The artefact at `path`, the recorded catalogue where none is named (setting `catalogue_file`)."""
    return recorded_catalogue() if path is None else load_catalogue(path)
