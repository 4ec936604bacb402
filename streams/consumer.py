"""The `getmany` loop of `docs/streams.md`: hand records to a handler, commit what is finished and nothing else."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError, KafkaError

from knowledge.base import TransientError
from streams.handler import Handler, LoopOptions
from streams.progress import Place, Progress

__all__ = ["ConsumeLoop", "Handler", "LoopOptions", "Place", "Progress"]

log = logging.getLogger(__name__)
_MAX_RETRY_S = 5.0


class ConsumeLoop(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """`await run()` until `stop()`; see `Handler`. The rest feeds the health page."""

    def __init__(self, options: LoopOptions, handler: Handler) -> None:
        self.options = options
        self.handler = handler
        self.progress = Progress()
        self.places: tuple[Place, ...] = ()
        self.trouble = "not started"  # what keeps the loop from working, empty = nothing
        self.records = 0
        self.commits = 0
        self.retreats = 0
        self.polled_at = time.monotonic()
        self.committed_at = time.monotonic()
        self._stopping = asyncio.Event()
        self._lock = asyncio.Lock()
        self._finished = asyncio.Event()  # enough is finished for an early commit
        self._retreating = False
        self._consumer: Any = None
        self._fatal: Exception | None = None

    # --- what others call

    async def run(self) -> None:
        """Read, handle, commit. Returns after `stop()`, with everything finished flushed and committed."""
        if not await self._connect():
            return
        committer = asyncio.create_task(self._commit_regularly(), name="committer")
        try:
            reader = asyncio.create_task(self._read(), name="reader")
            done, _ = await asyncio.wait({reader, committer}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # an unexpected error ends the loop, and by that the process
            await reader
            with suppress(TransientError):  # what is not committed now is repeated by the next owner, and ignored
                await self._commit_finished()
        finally:
            for task in (reader, committer):
                task.cancel()
            await asyncio.gather(reader, committer, return_exceptions=True)
            await self._consumer.stop()

    def stop(self) -> None:
        """Ask the loop to end after the running batch."""
        self._stopping.set()
        self._finished.set()

    async def between_batches(self) -> None:
        """Return when the running batch, if any, is over."""
        async with self._lock:
            return

    def lag(self) -> dict[Place, int | None]:
        """Records behind the newest known one, per partition; None = not known yet."""
        result: dict[Place, int | None] = {}
        for place in self.places:
            high = self.highwater(place)
            after = self.progress.position(place)
            result[place] = None if high is None or after is None else max(0, high - after)
        return result

    def highwater(self, place: Place) -> int | None:
        """The next offset that the broker will give out, as of the last fetch."""
        try:
            value = self._consumer.highwater(TopicPartition(place.topic, place.partition))
        except (AssertionError, AttributeError, IllegalStateError):
            return None
        return None if value is None else int(value)

    # --- reading

    async def _connect(self) -> bool:
        options = self.options
        consumer = AIOKafkaConsumer(
            bootstrap_servers=options.bootstrap,
            group_id=options.group_id,
            client_id=options.client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(options.session_timeout_s * 1000),
            heartbeat_interval_ms=int(options.session_timeout_s * 1000 / 4),
            rebalance_timeout_ms=int(options.rebalance_timeout_s * 1000),
            metadata_max_age_ms=30_000,  # how soon added partitions are noticed
        )
        while not self._stopping.is_set():
            try:
                await consumer.start()
                break
            except (KafkaConnectionError, OSError) as error:
                self._say(f"no broker at {options.bootstrap} ({error})")
                await self._sleep(options.retry_s)
        else:
            await consumer.stop()
            return False
        self._consumer = consumer
        consumer.subscribe(options.topics, listener=self)
        self._say("waiting for partitions")
        return True

    async def _read(self) -> None:
        wait = self.options.retry_s
        while not self._stopping.is_set():
            if self._fatal is not None:
                raise self._fatal
            if self._retreating:
                await self._poll()  # keeps the membership alive; everything is paused
                await self._sleep(wait)
                wait = min(wait * 2, _MAX_RETRY_S)
                await self._rewind()
                continue
            self._pause(not self.handler.ready())
            version = self.progress.version
            batches = await self._poll()
            if not batches:
                continue
            try:
                async with self._lock:
                    current = version == self.progress.version
                    if current:
                        await self._hand_over(batches)
                        wait = self.options.retry_s
                if not current:
                    # There was a rebalance or a retreat meanwhile: these records may be of before or after it. The
                    # consumer's position is past them, so dropping them without going back would lose them.
                    await self._rewind()
            except TransientError as error:
                await self._retreat(error)

    async def _poll(self) -> dict[Any, list[Any]]:
        try:
            batches = await self._consumer.getmany(timeout_ms=100, max_records=self.options.poll_records)
        except KafkaError as error:
            if not error.retriable:
                raise
            self._say(f"cannot read: {error!r}")
            await self._sleep(self.options.retry_s)
            return {}
        self.polled_at = time.monotonic()
        self._over("cannot read")
        return dict(batches)

    async def _hand_over(self, batches: Mapping[Any, Sequence[Any]]) -> None:
        records = {Place(tp.topic, tp.partition): batch for tp, batch in batches.items() if batch}
        for place, batch in records.items():
            self.progress.take(place, [record.offset for record in batch])
        await self.handler.handle(records, self.progress)
        self.records += sum(map(len, records.values()))
        self.trouble = ""
        if self.progress.finished_since_commit() >= self.options.commit_records:
            self._finished.set()

    def _pause(self, paused: bool) -> None:
        held = self._consumer.paused()
        assigned = self._consumer.assignment()
        if paused and assigned - held:
            self._consumer.pause(*(assigned - held))
        elif not paused and held:
            self._consumer.resume(*held)

    # --- committing

    async def _commit_regularly(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), self.options.commit_interval_s)
            self._finished.clear()
            try:
                await self._commit_finished()
            except TransientError as error:
                await self._retreat(error)

    async def _commit_finished(self) -> None:
        async with self._lock:
            version, offsets = self.progress.version, self.progress.committable()
            if not offsets or self._retreating:
                return
            await self.handler.flush()
        # Outside the lock: waiting for Redis' fsync takes up to a second, and new events must not wait for it.
        await self.handler.settle(offsets)
        async with self._lock:
            if version == self.progress.version:
                await self._commit(offsets)

    async def _commit(self, offsets: Mapping[Place, int]) -> None:
        # Never without arguments: that would commit what was fetched, finished or not.
        wanted = {TopicPartition(place.topic, place.partition): offset for place, offset in offsets.items()}
        try:
            await asyncio.wait_for(self._consumer.commit(wanted), 10.0)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("not committed, the partitions have another owner: %s", error)
            return
        except (TimeoutError, KafkaError) as error:
            self._say(f"cannot commit: {error!r}")
            return
        self._over("cannot commit")  # an idle worker gets no batch that would clear it
        self.progress.committed(offsets)
        self.commits += 1
        self.committed_at = time.monotonic()

    # --- going back

    async def _retreat(self, error: TransientError) -> None:
        """Nothing in flight counts any more: pause, and read again from the committed offsets later."""
        async with self._lock:
            self._say(str(error))
            self.retreats += 1
            self._retreating = True
            self._pause(True)
            await self._void()

    async def _void(self) -> None:
        self.progress.void()
        await self.handler.voided()

    async def _rewind(self) -> None:
        """Go back to the committed offsets and read on from there."""
        async with self._lock:
            try:
                for tp in self._consumer.assignment():
                    # aiokafka's own seek_to_committed stays where it is if nothing, or offset 0, was committed.
                    committed = await self._consumer.committed(tp)
                    if committed is None:
                        await self._consumer.seek_to_beginning(tp)
                    else:
                        self._consumer.seek(tp, committed)
            except (KafkaError, IllegalStateError) as error:
                self._say(f"cannot go back to the committed offsets yet: {error!r}")
                self._retreating = True
                return
            self._retreating = False
            self._pause(False)

    # --- rebalances (aiokafka waits for these before it answers the group)

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Finish, flush, commit; then nothing in flight is ours."""
        async with self._ending_on_error(), self._lock:
            offsets = self.progress.committable()
            try:
                if offsets and not self._retreating:
                    await self.handler.flush()
                    await self.handler.settle(offsets)
                    await self._commit(offsets)
            except TransientError as error:
                log.warning("leaving partitions without a last commit, their next owner repeats: %s", error)
            await self._void()
            self.places = ()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Note what is ours; the consumer starts at the committed offsets by itself."""
        async with self._ending_on_error(), self._lock:
            self.places = tuple(sorted(Place(tp.topic, tp.partition) for tp in assigned))
            self._say("" if self.places else "no partitions: more workers than partitions, or no right to the group")
            if self._retreating:
                self._pause(True)
            await self.handler.assigned(self.places)

    @asynccontextmanager
    async def _ending_on_error(self) -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            self._fatal = error  # aiokafka would log what a listener raises, and read on
            raise

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:  # once per outage, not hundreds of lines
            log.warning("%s", trouble)
        self.trouble = trouble

    def _over(self, trouble: str) -> None:
        if self.trouble.startswith(trouble):
            self.trouble = ""

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
