"""Who was clustered, on disk, and how somebody is taken out of it.

Light (standard library alone): the workers forget users where neither scikit-learn nor torch is to be had.
"""

import json
from collections.abc import Container
from pathlib import Path

from knowledge.base import TransientError
from knowledge.private_files import drop_drafts, replace_file
from knowledge.tombstones import hashed

MEMBERS = "members.json"


def forget_members(folder: Path, names: Container[str]) -> None:
    """Take entities (`names` are `knowledge.tombstones.hashed` ids) out of all clusters below `folder`.

    Of damaged and half written ones, too: a file of members that cannot be read is removed, and with it the clusters
    count as incomplete. Raises `TransientError` (`clusters_unwritable`), after it has done what it could.
    """
    failure: TransientError | None = None
    for target in sorted(path for path in folder.glob("*") if path.is_dir()):
        path = target / MEMBERS
        try:
            drop_drafts(path)
            _rewrite_without(path, names)
        except OSError as error:
            failure = unwritable(target, error)
    if failure is not None:
        raise failure


def _rewrite_without(path: Path, names: Container[str]) -> None:
    try:
        members = json.loads(path.read_bytes())
        if not isinstance(members, dict):
            raise ValueError("not the ids of members")
        left = {entity_id: place for entity_id, place in members.items() if hashed(entity_id) not in names}
        data = json.dumps(left).encode()
    except FileNotFoundError:
        return
    except (ValueError, RecursionError):
        path.unlink()
        return
    if len(left) < len(members):
        replace_file(path, data)


def unwritable(path: Path, error: OSError) -> TransientError:
    """The error for a file of clusters that cannot be written."""
    return TransientError("clusters_unwritable", f"cannot write the clusters in {path}: {error.strerror}")
