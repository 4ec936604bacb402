"""The items that can be found for a user, as a file: ids, titles, vectors, how well known they are and since when.

An artefact of its own space: whoever loads it finds the same for the same events, whichever release is in use and
whatever is known of the items by then. Two files, JSON and safetensors, written once; no user is in them.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from knowledge.base import TerminalError, is_id
from knowledge.base.files import refuse_existing as refuse_file

FORMAT = 1
_TENSORS = ("vectors", "touches", "first_seen")


@dataclass(frozen=True)
class ItemIndex:
    """n items in a fixed order; `titles` (untrusted text) and tensors are parallel to `ids`.

    `vectors` f16[n, F, d] live in the space that `representation` names; `touches` i64[n] says by how many people an
    item was touched, `first_seen` f64[n] when first (seconds since 1970; infinite: never yet, the freshest of all).
    Raises `ValueError` if they do not fit together.
    """

    representation: str
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    vectors: npt.NDArray[np.float16]
    touches: npt.NDArray[np.int64]
    first_seen: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        sizes = {len(self.titles), len(self.vectors), len(self.touches), len(self.first_seen)}
        if sizes != {len(self.ids)} or self.vectors.ndim != 3:
            raise ValueError("ids, titles, vectors f16[n, F, d], touches and first_seen are of the same items")
        if not self.ids or len(set(self.ids)) != len(self.ids) or not all(map(is_id, self.ids)):
            raise ValueError("an index names at least one item, and none twice")
        if not np.isfinite(self.vectors).all():
            raise ValueError("the vectors are not finite")

    @property
    def shape(self) -> tuple[int, int]:
        """(F, d)."""
        return self.vectors.shape[1], self.vectors.shape[2]

    @cached_property
    def version(self) -> str:
        """Twelve digits that follow from everything in it."""
        told = hashlib.sha256(json.dumps([self.representation, self.shape, self.ids, self.titles]).encode())
        for name in _TENSORS:
            told.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return told.hexdigest()[:12]

    def write(self, path: Path) -> None:
        """Write `path` (JSON) and the tensors beside it, with the ending .safetensors.

        Raises `TerminalError` (`exists`) rather than to replace either, and `OSError`.
        """
        refuse_existing(path)
        about = {
            "format": FORMAT,
            "version": self.version,
            "representation": self.representation,
            "ids": self.ids,
            "titles": self.titles,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(tensors_path(path), save({name: np.ascontiguousarray(getattr(self, name)) for name in _TENSORS}))
        # Last: tensors without it are an interrupted write, and whoever has named the file finds none.
        _put(path, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())


def tensors_path(path: Path) -> Path:
    """The file of numbers that belongs to the JSON file at `path`."""
    return path.with_suffix(".safetensors")


def refuse_existing(path: Path) -> None:
    """Raise `TerminalError` if an index at `path` would replace something (`exists`) or is no .json (`bad_option`)."""
    if path.suffix != ".json":
        raise TerminalError("bad_option", f"{path} must end in .json: the numbers stand beside it in .safetensors")
    for file in (path, tensors_path(path)):
        refuse_file(file)


def load_index(path: Path) -> ItemIndex:
    """Read an index; raises `TerminalError` (`bad_find_file`) with the file and what is wrong with it."""
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise TerminalError("bad_find_file", f"{path}: format {about['format']!r} is not {FORMAT}")
        tensors = load(tensors_path(path).read_bytes())
        index = ItemIndex(
            str(about["representation"]),
            tuple(about["ids"]),
            tuple(map(str, about["titles"])),
            tensors["vectors"].astype(np.float16, copy=False),
            tensors["touches"].astype(np.int64, copy=False),
            tensors["first_seen"].astype(np.float64, copy=False),
        )
        said = about["version"]
    except KeyError as error:
        raise TerminalError("bad_find_file", f"{path}: {error} is missing") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise TerminalError("bad_find_file", f"{path} cannot be read: {error}") from None
    if index.version != said:
        raise TerminalError("bad_find_file", f"{path} was changed since it was written: write it anew")
    return index


def _put(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
