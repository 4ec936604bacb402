"""Clusters' knowledge on disk: JSON lines, appended as answers come; the last line of a cluster counts."""

import json
import os
from pathlib import Path

from pydantic import ValidationError

from knowledge.base import TerminalError
from knowledge.collective.records import ClusterKnowledge


class CollectiveStore:
    """One file for one version of the clusters. For one writer; it holds ids of users, so only its owner may read it.

    Raises `TerminalError` (`bad_collective`) for a file that holds something else. A last line without an end is an
    answer whose writing was interrupted, and is dropped: the answer cache still has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[int, ClusterKnowledge] = {}
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        for number, line in enumerate(lines[:-1], start=1):
            try:
                knowledge = ClusterKnowledge.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                raise TerminalError("bad_collective", f"{path}:{number}: {first['loc']}: {first['msg']}") from None
            self._held[knowledge.cluster] = knowledge
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
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(knowledge.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._held[knowledge.cluster] = knowledge

    def forget(self, entity_id: str) -> list[ClusterKnowledge]:
        """Mark what a user fed as stale, without their id, and return it as it was, prompt hashes included.

        Erase these hashes from the answer cache: their prompts contained the user's titles. Stale knowledge serves
        until the next generation, which asks anew from the members that are left.
        """
        fed = [knowledge for knowledge in self._held.values() if entity_id in knowledge.fed]
        for knowledge in fed:
            self._held[knowledge.cluster] = knowledge.without(entity_id).model_copy(update={"prompt_hash": None})
        # Always rewritten: older lines of a cluster may name the user, too.
        if self._path.exists():
            self._rewrite()
        return fed

    def _rewrite(self) -> None:
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for cluster in sorted(self._held):
                file.write(json.dumps(self._held[cluster].model_dump(mode="json"), ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
