"""Encodings on disk, by encoder and text hash: no text is encoded twice on a machine.

One folder per encoder; in it packs (safetensors: `keys` u8[n, 32] = SHA-256 of the texts, `vectors` f32[n, dim]).
A pack is written once, under a name made of its keys, and renamed into place: readers see all of it or nothing,
and two processes can write at once. Small packs are merged now and then by whoever holds the folder's lock.
"""

import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

Vectors = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

_CHUNK = 1024  # texts encoded between two packs: what an interrupted run loses at most
_MERGE_AT = 32  # packs in a folder
_log = logging.getLogger(__name__)


class Encoder(Protocol):
    """What the cache needs of an encoder (see `encoders.sentence`)."""

    encoder_id: str

    @property
    def dim(self) -> int:
        """Width of a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors f32[n, dim]."""
        ...


class EncodingCache:
    """A folder of encodings. Made for one thread per instance; any number of processes may share the folder."""

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._packs: dict[Path, set[str]] = {}  # encoder's folder -> names of packs read
        self._rows: dict[tuple[Path, bytes], Vectors] = {}

    def encode(self, encoder: Encoder, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Vectors f32[n, dim] of `texts`; what is not cached yet is encoded and stored.

        `progress(done, total)` is called with the number of distinct missing texts: at the start and after each pack.
        Raises what `encoder.encode` raises; what was encoded until then stays.
        """
        folder = self._folder / _slug(encoder.encoder_id)
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        if any((folder, key) not in self._rows for key in wanted):
            self._read(folder)
        # Texts of like length share a batch, so that little is padded; the hash makes the order the same everywhere.
        missing = sorted(
            ((key, text) for key, text in wanted.items() if (folder, key) not in self._rows),
            key=lambda pair: (len(pair[1]), pair[0]),
        )
        if progress is not None and missing:
            progress(0, len(missing))
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            vectors = encoder.encode([text for _, text in chunk])
            self._store(folder, [key for key, _ in chunk], vectors)
            if progress is not None:
                progress(start + len(chunk), len(missing))
        if not keys:
            return np.zeros((0, encoder.dim), dtype=np.float32)
        return np.stack([self._rows[folder, key] for key in keys])

    def _store(self, folder: Path, keys: list[bytes], vectors: Vectors) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = _write(folder, keys, vectors)
        self._packs.setdefault(folder, set()).add(name)
        for key, vector in zip(keys, vectors, strict=True):
            self._rows[folder, key] = vector
        if len(list(folder.glob("*.pack"))) >= _MERGE_AT:
            self._merge(folder)

    def _read(self, folder: Path) -> None:
        seen = self._packs.setdefault(folder, set())
        for path in sorted(folder.glob("*.pack")):
            if path.name in seen:
                continue
            try:
                pack = load(path.read_bytes())
                keys, vectors = pack["keys"], pack["vectors"]
            except FileNotFoundError:
                continue  # merged by another process since it was listed: its rows stand in the merged pack
            except (SafetensorError, KeyError) as error:
                _log.warning("dropping unreadable encodings in %s (%s): they are encoded again", path, error)
                path.unlink(missing_ok=True)
                continue
            seen.add(path.name)
            for key, vector in zip(keys, vectors, strict=True):
                self._rows.setdefault((folder, key.tobytes()), vector)

    def _merge(self, folder: Path) -> None:
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # another process is at it
            old = sorted(folder.glob("*.pack"))
            self._read(folder)
            keys = [key for at, key in self._rows if at == folder]
            name = _write(folder, keys, np.stack([self._rows[folder, key] for key in keys]))
            self._packs[folder].add(name)
            for path in old:
                if path.name != name:
                    path.unlink(missing_ok=True)


def _write(folder: Path, keys: list[bytes], vectors: Vectors) -> str:
    joined = b"".join(keys)
    name = f"{hashlib.sha256(joined).hexdigest()[:24]}.pack"
    data = save({"keys": np.frombuffer(joined, np.uint8).reshape(len(keys), 32), "vectors": vectors})
    draft = folder / f".{name}.{os.getpid()}"
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # else a power cut leaves an empty file under the final name
    draft.replace(folder / name)
    return name


def _slug(encoder_id: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9_.+-]+", "_", encoder_id)[-60:]
    return f"{readable}-{hashlib.sha256(encoder_id.encode()).hexdigest()[:8]}"
