"""Clusters on disk: the parts that name the version, written once, and the members, rewritten when one is forgotten."""

import json
from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from encoders.clusters import Clusters
from knowledge.base import TerminalError, TransientError
from knowledge.private_files import drop_drafts, private_folder, replace_file
from knowledge.tombstones import hashed

FORMAT = 1
_TENSORS, _ABOUT, _MEMBERS = "clusters.safetensors", "clusters.json", "members.json"


def write_clusters(folder: Path, clusters: Clusters) -> Path:
    """Write below `folder`, in a folder named by the version, and return that; the same clusters twice is one folder.

    Raises `TransientError` (`clusters_unwritable`).
    """
    target = folder / clusters.version
    tensors: dict[str, npt.NDArray[Any]] = {
        "centre": clusters.centre,
        "centroids": clusters.centroids,
        "quality": clusters.quality,
        "counts": clusters.counts,
    }
    about = {
        "format": FORMAT,
        "version": clusters.version,
        "entity": clusters.entity,
        "representation": clusters.representation,
        "seed": clusters.seed,
        "k": clusters.k,
    }
    try:
        private_folder(target)
        # Ids of users are in one of the files: all are readable by their owner only.
        replace_file(target / _TENSORS, save(tensors))
        replace_file(target / _MEMBERS, json.dumps(clusters.members).encode())
        # Last: a folder without it is an interrupted write, not an artefact.
        replace_file(target / _ABOUT, (json.dumps(about, indent=1) + "\n").encode())
    except OSError as error:
        raise _unwritable(target, error) from error
    return target


def forget_members(folder: Path, names: Container[str]) -> None:
    """Take entities (`names` are `knowledge.tombstones.hashed` ids) out of all clusters below `folder`.

    Of damaged and half written ones, too: a file of members that cannot be read is removed, and with it the clusters
    count as incomplete. Raises `TransientError` (`clusters_unwritable`), after it has done what it could.
    """
    failure: TransientError | None = None
    for target in sorted(path for path in folder.glob("*") if path.is_dir()):
        path = target / _MEMBERS
        try:
            drop_drafts(path)
            _rewrite_without(path, names)
        except OSError as error:
            failure = _unwritable(target, error)
    if failure is not None:
        raise failure


def load_clusters(path: Path) -> Clusters:
    """Read a version's folder.

    Raises `TerminalError`: `no_clusters` if it is incomplete, `bad_clusters` if its content does not match its version.
    """
    try:
        about: dict[str, Any] = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
        members = json.loads((path / _MEMBERS).read_text(encoding="utf-8"))
        tensors = load((path / _TENSORS).read_bytes())
        clusters = Clusters(
            entity=about["entity"],
            representation=about["representation"],
            seed=about["seed"],
            members={entity_id: (int(own), int(near)) for entity_id, (own, near) in members.items()},
            **{name: tensors[name] for name in ("centre", "centroids", "counts", "quality")},
        )
    except FileNotFoundError as error:
        raise TerminalError(
            "no_clusters", f"{path} holds no clusters: {Path(error.filename).name} is missing"
        ) from None
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise TerminalError("bad_clusters", f"{path} is damaged ({repr(error)[:200]}): cluster again") from error
    if about.get("format") != FORMAT or clusters.version != about["version"]:
        raise TerminalError("bad_clusters", f"{path} was changed, or another version of reki wrote it: cluster again")
    return clusters


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


def _unwritable(path: Path, error: OSError) -> TransientError:
    return TransientError("clusters_unwritable", f"cannot write the clusters in {path}: {error.strerror}")
