"""The releases on disk, by id, beginning of an id, or folder."""

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from knowledge.base import RekiError, TerminalError
from ranking.release import Release

_ID = re.compile("[0-9a-f]{12}")


@dataclass(frozen=True)
class Found:
    """A folder that is named like a release; `release` is None where `problem` says why it cannot be used."""

    name: str
    made_at: datetime  # when it was written last; training that gives the same content again counts
    release: Release | None
    problem: str = ""


def releases(folder: Path) -> list[Found]:
    """All in `folder`, the newest first; a damaged one is listed with its problem."""
    found = []
    for path in folder.glob("*/"):
        if not _ID.fullmatch(path.name):
            continue  # being written, or somebody's own
        try:
            release, problem = Release.load(path), ""
        except RekiError as error:
            release, problem = None, error.message
        found.append(Found(path.name, made_at(path), release, problem))
    return sorted(found, key=lambda one: one.made_at, reverse=True)


def find(folder: Path, name: str) -> Release:
    """The release that `name` means.

    Raises `TerminalError`: `no_release` if there is none, `bad_name` if several ids begin so, and as `Release.load`.
    """
    if "/" in name or name in {".", ".."}:
        return Release.load(Path(name))
    ids = sorted(path.name for path in folder.glob("*/") if _ID.fullmatch(path.name) and path.name.startswith(name))
    if not name or not ids:
        there = f"there is no release {name!r} in {folder}"
        raise TerminalError("no_release", f"{there}: `reki release list` shows what there is")
    if len(ids) > 1:
        raise TerminalError("bad_name", f"{name!r} may be any of {', '.join(ids)}: give more of it")
    return Release.load(folder / ids[0])


def made_at(path: Path) -> datetime:
    """When the release in `path` was written last."""
    about = path / "release.json"
    return datetime.fromtimestamp((about if os.path.exists(about) else path).stat().st_mtime, UTC)
