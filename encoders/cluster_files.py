"""Clusters on disk: the parts that name the version, written once, and the members, rewritten when one is forgotten."""

import json
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from encoders.cluster_members import MEMBERS, unwritable
from encoders.clusters import Clusters
from knowledge.base import TerminalError
from knowledge.private_files import private_folder, replace_file

FORMAT = 1
_TENSORS, _ABOUT = "clusters.safetensors", "clusters.json"


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
        replace_file(target / MEMBERS, json.dumps(clusters.members).encode())
        # Last: a folder without it is an interrupted write, not an artefact.
        replace_file(target / _ABOUT, (json.dumps(about, indent=1) + "\n").encode())
    except OSError as error:
        raise unwritable(target, error) from error
    return target


def load_clusters(path: Path) -> Clusters:
    """Read a version's folder.

    Raises `TerminalError`: `no_clusters` if it is incomplete, `bad_clusters` if its content does not match its version.
    """
    try:
        about: dict[str, Any] = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
        members = json.loads((path / MEMBERS).read_text(encoding="utf-8"))
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
