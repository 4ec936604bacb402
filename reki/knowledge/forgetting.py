"""Forgetting in what bulk runs left: stored records, clusters, and the cached answers behind them."""

from knowledge.base import check_id
from knowledge.cache import AnswerCache
from reki.current import current_settings
from reki.knowledge.clustering import forget_member
from reki.knowledge.opened import knowledge_store


def forget_stored(user_id: str) -> str:
    """Erase; what was done, in one sentence. Raises `TerminalError` (`bad_id`)."""
    settings = current_settings()
    store, cache = knowledge_store(settings), AnswerCache(settings.knowledge.knowledge_cache_dir)
    was_known = store.get("user", check_id(user_id)) is not None
    fed = forget_member(store.folder / "clusters" / "user", user_id)
    erased = sum(cache.erase(prompt_hash) for prompt_hash in [*store.forget([user_id]), *fed])
    if not was_known and not fed:
        return f"nothing was stored about {user_id}"
    stale = f"; {len(fed)} cluster(s) are to be asked about again" if fed else ""
    return f"{user_id} is taken out of {store.folder}, and {erased} cached answer(s) erased{stale}"
