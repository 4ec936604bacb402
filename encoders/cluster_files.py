"""Clusters on disk: the parts that name the version, written once, and the members, rewritten when one is forgotten."""

import json
import os
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from encoders.clusters import Clusters
from knowledge.base import TerminalError

FORMAT = 1
_TENSORS, _ABOUT, _MEMBERS = "clusters.safetensors", "clusters.json", "members.json"


def write_clusters(folder: Path, clusters: Clusters) -> Path:
    """Write below `folder`, in a folder named by the version, and return that; the same clusters twice is one folder.

    Also how forgetting reaches the disk: `write_clusters(folder, clusters.without(user_id))` rewrites the members.
    """
    target = folder / clusters.version
    target.mkdir(parents=True, exist_ok=True)
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
    _replace(target / _TENSORS, save(tensors))
    _replace(target / _MEMBERS, json.dumps(clusters.members).encode())
    # Last: a folder without it is an interrupted write, not an artefact.
    _replace(target / _ABOUT, (json.dumps(about, indent=1) + "\n").encode())
    return target


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
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise TerminalError("bad_clusters", f"{path} is damaged ({error!r}): cluster again") from error
    if about.get("format") != FORMAT or clusters.version != about["version"]:
        raise TerminalError("bad_clusters", f"{path} was changed, or another version of reki wrote it: cluster again")
    return clusters


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    # Ids of users are in one of the files: readable by their owner only.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
