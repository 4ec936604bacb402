"""`reki knowledge catalogue`: choose anchors and shortlist from one's own items, and say from whom and how."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from encoders.catalogue_build import ANCHORS, SHORTLIST, CatalogueItem, build_catalogue
from encoders.item_index import refuse_existing
from knowledge.base import TerminalError
from knowledge.base.files import fault
from knowledge.base.files import refuse_existing as refuse_file
from knowledge.catalogue import Catalogue
from reki.knowledge.finding import Known, index_of
from reki.knowledge.opened import Opened, opened
from reki.knowledge.population import ItemSpace, item_space

if TYPE_CHECKING:
    from streams.release_parts import RefreshRelease

_ENOUGH = 0.9  # of the items: so many must have a vector of the release before it is used instead of titles


@dataclass(frozen=True)
class Asked:
    """The command's options. `out`, `find_file`: new files; `reviewed`: ids, one a line, that alone may be named."""

    out: Path
    folder: Path | None = None
    name: str = ""
    anchors: int = ANCHORS
    shortlist: int = SHORTLIST
    find_file: Path | None = None
    reviewed: Path | None = None


def run(asked: Asked) -> None:
    """Read items and who touched them, choose, write. All that can be wrong is looked at before anything is read.

    Raises `TerminalError` (`exists`, `bad_option`, `not_up`, `no_data`, `bad_data`, `no_subjects`,
    `catalogue_too_small`, `bad_catalogue`, `unwritable`).
    """
    _check(asked)
    allowed = None if asked.reviewed is None else _ids(asked.reviewed)
    with opened(asked.folder) as world:
        ids = world.subjects.item_ids()
        if not ids:
            raise TerminalError("no_subjects", "there are no items with a title: load the item profiles first")
        known = Known.by(world.subjects)
        space = _space(world, ids)
        placed = [item for item in ids if item in space.vectors and space.vectors[item].any()]
        catalogue = build_catalogue(
            [CatalogueItem(item, known.touches[item], allowed is None or item in allowed) for item in placed],
            np.stack([space.vectors[item].reshape(-1) for item in placed]),
            name=asked.name or re.sub(r"[^A-Za-z0-9_.-]+", "-", asked.out.stem)[:40],
            anchors=asked.anchors,
            shortlist=asked.shortlist,
            representation=f"items{space.name}",
        )
        index = None if asked.find_file is None else index_of(world.subjects, space, known)
    try:
        if index is not None and asked.find_file is not None:
            index.write(asked.find_file)
        catalogue.write(asked.out)
    except OSError as error:
        raise TerminalError("unwritable", f"{error.filename or asked.out} cannot be written: {fault(error)}") from None
    _tell(asked, catalogue, len(ids), known.people, space)
    if index is not None and asked.find_file is not None:
        _say(f"{asked.find_file}: {len(index.ids):,} items that can be found for a user, version {index.version}")
        _say(f"Use it: REKI_CATALOGUE_FIND_FILE={asked.find_file.resolve()}")


def _check(asked: Asked) -> None:
    if asked.anchors > asked.shortlist:
        raise TerminalError("bad_option", "the shortlist holds the anchors: ask for a longer one, or for fewer anchors")
    refuse_file(asked.out)
    if asked.find_file is not None:
        if asked.find_file.resolve() == asked.out.resolve():
            raise TerminalError("bad_option", "--find-file and --out are two files")
        refuse_existing(asked.find_file)


def _ids(file: Path) -> set[str]:
    try:
        return set(file.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise TerminalError("no_data", f"{file} cannot be read: {fault(error)}") from None


def _space(world: Opened, ids: list[str]) -> ItemSpace:
    """Vectors of the release in use where nearly all items have one, else of titles and genres."""
    release = _release(world) if world.is_online else None
    if release is not None:
        space = item_space(world.subjects, ids, world.settings.encoders, release)
        if sum(bool(vector.any()) for vector in space.vectors.values()) >= _ENOUGH * len(ids):
            return space
    return item_space(world.subjects, ids, world.settings.encoders, None)


def _release(world: Opened) -> "RefreshRelease | None":
    from reki.knowledge.feast import loaded_release  # loads Feast and torch: not for a folder

    return loaded_release(world.settings, Console(quiet=True))


def _tell(asked: Asked, catalogue: Catalogue, items: int, people: int, space: ItemSpace) -> None:
    by = "titles and genres" if space.name.startswith("_titles") else f"what release {space.name[1:]} knows of them"
    _say(
        f"{asked.out}: {len(catalogue.anchors)} anchors, {len(catalogue.shortlist)} items in the shortlist, of "
        f"{items:,} items by {by}, touched by {people:,} people; version {catalogue.version}"
    )
    _say(f"Use it: REKI_CATALOGUE_FILE={asked.out.resolve()}")


def _say(line: str) -> None:
    Console(highlight=False).print(line, soft_wrap=True, markup=False)
