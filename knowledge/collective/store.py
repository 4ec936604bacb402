"""Clusters' knowledge on disk: JSON lines, appended as answers come; the last line of a cluster counts."""

import json
import os
import re
from collections.abc import Container
from pathlib import Path

from pydantic import ValidationError

from knowledge.base import TerminalError, TransientError
from knowledge.collective.records import ClusterKnowledge
from knowledge.private_files import drop_drafts, private, private_folder, replace_file
from knowledge.store_lines import is_about
from knowledge.tombstones import hashed

_HASH = re.compile(rb"[0-9a-f]{64}")


class CollectiveStore:
    """One file for one version of the clusters. For one writer; it holds ids of users, so only its owner may read it.

    Raises `TerminalError` (`bad_collective`) for a file that holds something else. A last line without an end is an
    answer whose writing was interrupted, and is dropped: the answer cache still has it. Writing raises `TransientError`
    (`collective_unwritable`).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[int, ClusterKnowledge] = {}
        try:
            lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        except OSError as error:
            raise TerminalError("bad_collective", f"{path} cannot be read: {error.strerror}") from error
        for number, line in enumerate(lines[:-1], start=1):
            knowledge = _read(line)
            if isinstance(knowledge, ClusterKnowledge):
                self._held[knowledge.cluster] = knowledge
            else:
                raise TerminalError("bad_collective", f"{path}:{number}: {knowledge}: remove the line")
        if lines[-1]:
            self._rewrite()

    @property
    def held(self) -> dict[int, ClusterKnowledge]:
        """Cluster -> its newest knowledge."""
        return dict(self._held)

    def missing(self, k: int) -> list[int]:
        """Clusters from 0 to k - 1 to ask about: those without knowledge, and the stale ones."""
        return [cluster for cluster in range(k) if cluster not in self._held or self._held[cluster].stale]

    def add(self, knowledge: ClusterKnowledge) -> None:
        """Keep an answer; on disk when this returns."""
        try:
            private_folder(self._path.parent)
            with open(self._path, "ab", buffering=0, opener=private) as file:
                self._append(file.fileno(), knowledge.model_dump_json().encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error
        self._held[knowledge.cluster] = knowledge

    def forget(self, entity_id: str) -> list[ClusterKnowledge]:
        """Mark what a user fed as stale, without their id, and return it as it was, prompt hashes included.

        Erase these hashes from the answer cache: their prompts contained the user's titles. Stale knowledge serves
        until the next generation, which asks anew from the members that are left.
        """
        fed = [knowledge for knowledge in self._held.values() if entity_id in knowledge.fed]
        for knowledge in fed:
            self._held[knowledge.cluster] = _without(knowledge, {hashed(entity_id)})
        # Always rewritten: older lines of a cluster may name the user, too.
        if self._path.exists():
            self._rewrite()
        return fed

    def _append(self, descriptor: int, line: bytes) -> None:
        place, rest = os.lseek(descriptor, 0, os.SEEK_END), line
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, place)
            raise

    def _rewrite(self) -> None:
        lines = [
            json.dumps(self._held[cluster].model_dump(mode="json"), ensure_ascii=False)
            for cluster in sorted(self._held)
        ]
        try:
            replace_file(self._path, "".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> TransientError:
        return TransientError("collective_unwritable", f"cannot keep answers in {self._path}: {error.strerror}")


def forget_fed(path: Path, names: Container[str]) -> list[str]:
    """As `CollectiveStore.forget`, whatever the file holds; hashes of the prompts that the users fed.

    `names` are hashed ids (`knowledge.tombstones.hashed`). A line that is no record goes if one of its words is the id
    of one of them, else it stays. Raises `OSError`.
    """
    drop_drafts(path)
    lines = path.read_bytes().split(b"\n")
    left, hashes = [], []
    for line in lines[:-1]:
        knowledge = _read(line)
        if isinstance(knowledge, str):
            if is_about(line, names):
                hashes += [found.decode() for found in _HASH.findall(line)]
            else:
                left.append(line)
        elif any(hashed(entity_id) in names for entity_id in knowledge.fed):
            hashes += [knowledge.prompt_hash] if knowledge.prompt_hash else []
            left.append(_without(knowledge, names).model_dump_json().encode())
        else:
            left.append(line)
    data = b"".join(line + b"\n" for line in left)
    if data != b"\n".join(lines):
        replace_file(path, data)
    return hashes


def _without(knowledge: ClusterKnowledge, names: Container[str]) -> ClusterKnowledge:
    for entity_id in knowledge.fed:
        if hashed(entity_id) in names:
            knowledge = knowledge.without(entity_id)
    return knowledge.model_copy(update={"prompt_hash": None})


def _read(line: bytes) -> ClusterKnowledge | str:
    try:
        return ClusterKnowledge.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    except TerminalError as error:  # a time that UTC cannot hold
        return error.message
