"""A fold's material on disk: one safetensors file, written under another name and renamed."""

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

if TYPE_CHECKING:
    from ranking.fold import FoldMaterial

_TENSORS = ("user", "item", "label", "since", "item_vec", "users_projected")
_PARTS = ("train", "valid", "test")


def write(path: Path, material: "FoldMaterial") -> None:
    """Write `material`; two processes may do so at once, and readers see all of it or nothing."""
    tensors = {name: getattr(material, name) for name in _TENSORS}
    tensors |= {name: torch.from_numpy(getattr(material, name)) for name in _PARTS}
    tensors |= {f"ids.{name}": tensor for name, tensor in material.ids.items()}
    # Item indices fit 16 bits, and values are stars: half of the file.
    tensors["ids.hist_index"] = tensors["ids.hist_index"].to(torch.int16)
    tensors["ids.hist_value"] = tensors["ids.hist_value"].half()
    tensors |= {f"columns.{name}": tensor for name, tensor in material.columns.items()}
    about = {
        "name": material.name,
        "page_blind": material.page_blind,
        "users": material.users,
        "vocabulary": material.vocabulary,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=".draft-", dir=path.parent)
    os.close(handle)
    try:
        save_file({n: t.contiguous() for n, t in tensors.items()}, draft, metadata={"about": json.dumps(about)})
        Path(draft).rename(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def read(path: Path) -> "FoldMaterial | None":
    """Read what `write` wrote; None where nothing is, or nothing that can be read: it is only a cache."""
    try:
        return _read(path)
    except (FileNotFoundError, SafetensorError, TypeError, KeyError, ValueError):
        return None


def _read(path: Path) -> "FoldMaterial":
    from ranking.fold import FoldMaterial  # the two modules need each other

    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["about"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    ids = {name.removeprefix("ids."): tensor for name, tensor in tensors.items() if name.startswith("ids.")}
    ids["hist_index"] = ids["hist_index"].to(torch.int32)
    ids["hist_value"] = ids["hist_value"].float()
    return FoldMaterial(
        name=about["name"],
        page_blind=about["page_blind"],
        users=tuple(about["users"]),
        vocabulary=about["vocabulary"],
        ids=ids,
        columns={n.removeprefix("columns."): t for n, t in tensors.items() if n.startswith("columns.")},
        train=tensors["train"].numpy(),
        valid=tensors["valid"].numpy(),
        test=tensors["test"].numpy(),
        **{name: tensors[name] for name in _TENSORS},
    )
