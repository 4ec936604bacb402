"""The offline store's upkeep: doubles, small files and old versions go, and forgotten users leave the files."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from redis import Redis

from feature_repo.compactor import Compaction
from feature_repo.offline import OfflineBuffer
from feature_repo.schema import physical_views
from knowledge.base import TransientError
from streams.forget import Erase, LateRows
from streams.leader import Leader

log = logging.getLogger(__name__)
T = TypeVar("T")


class Compactor:
    """`run()` until cancelled. It runs in every refresh worker; a lease lets one of them act.

    In a thread of its own: a large data set takes seconds, for which no refresh should wait. `every_s` = 0: never.
    `erase(user_id, hashes)` deletes cached LLM answers about a user, as in `streams.forget.Forgetting`.
    """

    def __init__(
        self,
        client: Redis,
        namespace: str,
        offline: OfflineBuffer,
        every_s: float,
        keep_versions_s: float,
        erase: Erase | None = None,
    ) -> None:
        self._offline = offline
        self._every_s = every_s
        self._keep_versions_s = keep_versions_s
        # Longer than a round: whoever has it keeps it; if they die, another worker takes over after two rounds.
        self._leader = Leader(client, f"{namespace}:compactor", lease_s=2 * every_s + 60)
        self._erase = erase
        self._late = LateRows(client, namespace, self._delete_late)
        self._thread = ThreadPoolExecutor(1, "compactor")
        self.leading = False
        self.rounds = 0

    async def run(self) -> None:
        """A round now and then. Trouble is logged, and the next round tries again."""
        if not self._every_s:
            await asyncio.Event().wait()
        try:
            while True:
                await asyncio.sleep(self._every_s)
                try:
                    await self.round()
                except (TransientError, OSError) as error:  # Lance says OSError for whatever a disk can do
                    log.warning("compaction: %s; the next round tries again", error)
        finally:
            self._thread.shutdown(wait=False)  # what it is at ends by a commit of Lance, or not at all
            if self.leading:
                await asyncio.shield(asyncio.to_thread(self._give_up))

    async def round(self) -> dict[str, Compaction]:
        """Compact every view if this worker is the one to do it; what was done, by physical view.

        Raises `TransientError` (Redis, or other writers committed first too often) and `OSError`.
        """
        self.leading = await self._in_thread(self._leader.hold)
        if not self.leading:
            return {}
        while await self._in_thread(self._late.delete):
            pass
        wish = await self._in_thread(self._late.purge_wanted)
        done: dict[str, Compaction] = {}
        busy = []
        for view in physical_views():
            if not self._offline.path(view).exists():
                continue
            try:
                done[view] = await self._in_thread(
                    lambda view=view: self._offline.compact(view, self._keep_versions_s, purge=wish is not None)  # type: ignore[misc]
                )
            except TransientError as error:
                if error.reason != "offline_busy":
                    raise
                busy.append(view)  # somebody runs `reki compact`
        if wish is not None and not busy:
            await self._in_thread(lambda: self._late.purged(wish))
        self.rounds += 1
        doubles = sum(one.doubles_removed for one in done.values())
        files = sum(one.fragments_before - one.fragments_after for one in done.values())
        purged = ", forgotten users purged" if wish else ""
        log.info("compacted %d views: %d doubles and %d files less%s", len(done), doubles, files, purged)
        return done

    def _delete_late(self, user_id: str, epoch: int) -> None:
        self._offline.delete("user", [user_id], below_epoch=epoch)
        if self._erase is not None:
            self._erase(user_id, ())

    def _give_up(self) -> None:
        try:
            self._leader.release()
        except TransientError as error:
            log.warning("compaction: the lease runs out by itself (%s)", error)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
