"""Forgetting in what bulk runs left: stored records, clusters, and the cached answers behind them.

Light: the stream worker does it for every user who is forgotten.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from knowledge.base import RekiError, TerminalError, TransientError, check_id
from knowledge.cache import AnswerCache
from knowledge.prompt_index import PromptIndex
from knowledge.store import KnowledgeStore
from knowledge.tombstones import hashed
from reki.settings import Settings

if TYPE_CHECKING:
    from reki.knowledge.opened import Opened

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Forgotten:
    """What there was: a stored record, `answers` in the cache, and `stale` clusters, which are to be asked about."""

    was_stored: bool
    answers: int
    stale: int

    def said(self, user_id: str, folder: Path) -> str:
        """In one sentence."""
        if not (self.was_stored or self.answers or self.stale):
            return f"nothing was stored about {user_id}"
        stale = f"; {self.stale} cluster(s) are to be asked about again" if self.stale else ""
        return f"{user_id} is taken out of {folder}, and {self.answers} cached answer(s) erased{stale}"


def forget_user(folder: Path, cache: AnswerCache, user_id: str, also: Iterable[str] = ()) -> Forgotten:
    """Erase a user from the knowledge store in `folder` and from the cache; `also` names answers known elsewhere.

    What is on its way is not taken when it comes. Everything is tried, whatever else is damaged; then the first
    failure is raised: `TerminalError` (`bad_store`) where something is to be mended by hand, `TransientError` where a
    file cannot be written. May be repeated.
    """
    check_id(user_id)
    store, tried = KnowledgeStore(folder), _Tried()
    was_stored = tried(lambda: store.mentions(user_id)) or False
    # Before they go: the records are what names some of the answers.
    named = [*also, *(tried(lambda: store.answers_of([user_id])) or ())]
    tried(lambda: store.forget([user_id]))
    fed = _forget_fed(folder, {hashed(user_id)}, tried)
    # The index goes last: it is what names the answers, should this be interrupted.
    answers = tried(lambda: PromptIndex(cache).forget(user_id, [*named, *fed])) or 0
    tried.done()
    return Forgotten(was_stored, answers, len(fed))


def forget_again(world: "Opened") -> None:
    """Erase what a run about clusters wrote of users who were forgotten since it began to read.

    Such a run reads everybody before it asks, and an answer about a cluster is of all of its members. Errors as
    `forget_user`.
    """
    folder, cache = world.store().folder, AnswerCache(world.settings.knowledge.knowledge_cache_dir)
    names, tried = world.store().tombstones.since(world.since), _Tried()
    if names:
        for key in _forget_fed(folder, names, tried):
            tried(lambda key=key: cache.erase(key))  # type: ignore[misc]
    tried.done()


class UserEraser:
    """For the workers: forgets a user in everything beside the stack's own stores."""

    def __init__(self, folder: Path, cache: AnswerCache) -> None:
        self._folder = folder
        self._cache = cache

    def forget(self, user_id: str, also: Iterable[str] = ()) -> None:
        """As `forget_user`; what only a person can mend is logged, and the stack's own forgetting goes on."""
        try:
            forget_user(self._folder, self._cache, user_id, also)
        except TerminalError as error:
            log.error("a forgotten user may still be in what bulk runs stored: %s", error.message)
        except Exception as error:
            if isinstance(error, TransientError):
                raise
            # A fault of ours: the worker would meet it again at every start, and apply nobody's events any more.
            log.exception("a forgotten user may still be in what bulk runs stored")


def forget_stored(user_id: str, settings: Settings | None = None) -> str:
    """Forget by the settings in force; what was done, in one sentence. Errors as `forget_user`."""
    from reki.current import current_settings
    from reki.knowledge.opened import knowledge_store

    settings = settings or current_settings()
    folder = knowledge_store(settings).folder
    return forget_user(folder, AnswerCache(settings.knowledge.knowledge_cache_dir), user_id).said(user_id, folder)


def run(user_id: str) -> None:
    """The command: forget, and say where the user is known still."""
    print(forget_stored(user_id))
    try:
        is_there = _is_in_stack(user_id)
    except TransientError as error:
        print(f"whether Feast knows {user_id} cannot be asked ({error.message}): `reki forget {user_id}` forgets there")
        return
    if is_there:
        print(f"still in Feast: `reki forget {user_id}` takes them out of the stack, too")


def _is_in_stack(user_id: str) -> bool:
    from reki.current import reachable_settings

    try:
        settings = reachable_settings()
    except TerminalError as error:
        if error.reason != "not_up":
            raise
        return False
    import sys

    sys.modules.setdefault("torch", None)  # type: ignore[arg-type] # Feast would load it, for nothing
    from reki.knowledge.in_force import opened_in_force

    with opened_in_force(settings) as source:
        return bool(source.events(user_id)) or source.read("user", [user_id]) != [None]


class _Tried:
    """Calls that must not keep the next from being made."""

    def __init__(self) -> None:
        self._failure: RekiError | None = None

    def __call__(self, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except RekiError as error:
            self._failure = self._failure or error
        except OSError as error:
            self._failure = self._failure or TransientError(
                "not_erased", f"cannot erase {error.filename or 'a file'}: {error.strerror}; forget the user again"
            )
        return None

    def done(self) -> None:
        """Raise the first failure."""
        if self._failure is not None:
            raise self._failure


def _forget_fed(folder: Path, names: set[str], tried: _Tried) -> list[str]:
    """Take users (hashed ids) out of their clusters; the names of the answers that they fed, which are stale now."""
    clusters = folder / "clusters" / "user"
    if not clusters.is_dir():
        return []
    from encoders.cluster_members import forget_members
    from knowledge.collective.store import forget_fed

    hashes: list[str] = []
    tried(lambda: forget_members(clusters, names))
    for path in sorted((clusters / "answers").glob("[!.]*.jsonl")):
        hashes += tried(lambda path=path: forget_fed(path, names)) or ()  # type: ignore[misc]
    return hashes
