"""Forgetting in what bulk runs left: stored records, clusters, and the cached answers behind them.

Light: the stream worker does it for every user who is forgotten.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from knowledge.base import TerminalError, check_id
from knowledge.cache import AnswerCache
from knowledge.prompt_index import PromptIndex
from knowledge.store import KnowledgeStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Forgotten:
    """What there was: a stored record, `answers` in the cache, and `stale` clusters, which are to be asked about."""

    was_stored: bool
    answers: int
    stale: int


def forget_user(folder: Path, cache: AnswerCache, user_id: str, also: Iterable[str] = ()) -> Forgotten:
    """Erase a user from the knowledge store in `folder` and from the cache; `also` names answers known elsewhere.

    May be repeated. Raises `TerminalError` (`bad_id`, `bad_store`), `OSError` where a file cannot be written.
    """
    store, clusters = KnowledgeStore(folder), folder / "clusters" / "user"
    was_stored = store.get("user", check_id(user_id)) is not None
    fed: list[str] = []
    if clusters.is_dir():
        from reki.knowledge.clustering import forget_member  # loads scikit-learn: only where there are clusters

        fed = forget_member(clusters, user_id)
    # The index goes last: it is what names the answers, should this be interrupted.
    hashes = [*also, *fed, *store.forget([user_id])]
    return Forgotten(was_stored, PromptIndex(cache).forget(user_id, hashes), len(fed))


class UserEraser:
    """For the workers: forgets a user in everything beside the stack's own stores."""

    def __init__(self, folder: Path, cache: AnswerCache) -> None:
        self._folder = folder
        self._cache = cache

    def forget(self, user_id: str, also: Iterable[str] = ()) -> None:
        """As `forget_user`; a damaged store keeps nobody's cached answers, and the stack's own forgetting goes on."""
        hashes = tuple(also)
        try:
            forget_user(self._folder, self._cache, user_id, hashes)
        except TerminalError as error:
            log.error("a forgotten user may still be in what bulk runs stored: %s", error.message)
            PromptIndex(self._cache).forget(user_id, hashes)


def forget_stored(user_id: str) -> str:
    """Forget by the settings in force; what was done, in one sentence."""
    from reki.current import current_settings
    from reki.knowledge.opened import knowledge_store

    settings = current_settings()
    folder = knowledge_store(settings).folder
    done = forget_user(folder, AnswerCache(settings.knowledge.knowledge_cache_dir), user_id)
    if not (done.was_stored or done.answers or done.stale):
        return f"nothing was stored about {user_id}"
    stale = f"; {done.stale} cluster(s) are to be asked about again" if done.stale else ""
    return f"{user_id} is taken out of {folder}, and {done.answers} cached answer(s) erased{stale}"
