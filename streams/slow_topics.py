"""Topics `items` and `profiles`: what is known beside behaviour. Thin Faust agents around two plain functions.

These topics are small and compacted, so plain agents do. An exception that leaves an agent loses events (Faust commits
past it), so nothing leaves: bad input becomes a dead letter, an outage is waited out in place, and anything else ends
the process before the record is acknowledged.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, NoReturn, TypeVar

from feature_repo.records import EntityWrite
from feature_repo.writer import FeatureWriter
from knowledge.base import Clock, ItemProfile, SystemClock, TerminalError, TransientError, UserProfile, check_id, micros
from streams.knowledge_rows import profile_row
from streams.requests import first_problem
from streams.store import StateStore
from streams.topics import TopicNames

log = logging.getLogger(__name__)

Record = TypeVar("Record", ItemProfile, UserProfile)
EXIT_CODE = 70
_MAX_BYTES = 65_536


class SlowTopics:
    """Applies item and user profiles. Synchronous; `offset` orders an item's profiles."""

    def __init__(self, writer: FeatureWriter, store: StateStore, clock: Clock | None = None) -> None:
        self._writer = writer
        self._store = store
        self._clock = clock or SystemClock()

    def item(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        """Upsert one item's profile; a null value withdraws the item: all its rows go.

        Raises `TerminalError` (`bad_id`, `bad_profile`, `key_mismatch`) and `TransientError`.
        """
        item_id = _key(key)
        if value is None:
            self._writer.delete_entity("item", item_id)
            return
        profile = _parse(ItemProfile, value)
        _same(item_id, profile.item_id)
        # Above 0, the `source_rev` of loaded profiles: what is published is newer than what was loaded.
        row = profile_row(profile, source_rev=offset + 1, written_at=micros(self._clock.now()))
        self._writer.write([EntityWrite("item", item_id, 0, (row,))])
        self._writer.flush()

    def profile(self, key: bytes | None, value: bytes | None) -> None:
        """Upsert one user's profile fields; a null value withdraws them. Errors as `item`."""
        user_id = _key(key)
        fields: dict[str, str] = {}
        if value is not None:
            profile = _parse(UserProfile, value)
            _same(user_id, profile.user_id)
            fields = profile.fields
        state = self._store.read(user_id)
        if state is None:
            if not fields or self._store.seed(user_id, [], fields) is not None:
                return
            state = self._store.read(user_id)  # the user's first event came in between
        if state is None or state.forgotten:
            return  # a forgotten user's profile is not kept for them
        if not self._store.update(user_id, state.epoch, profile=fields):
            raise TransientError("state_changed", f"the state of {user_id} changed while its profile was set: retry")


DeadLetter = Callable[[Any, TerminalError], Awaitable[None]]


def register(
    app: Any,  # noqa: ANN401 - faust.App is untyped
    names: TopicNames,
    slow: SlowTopics,
    dead_letter: DeadLetter,
    io: Executor,
    retry_s: float = 0.5,
) -> None:
    """Add the two agents to a Faust application. `dead_letter(message, error)` returns once the broker has it."""

    def agent(topic: str, apply: Callable[[Any], None]) -> None:
        channel = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

        async def consume(stream: Any) -> None:  # noqa: ANN401 - faust.Stream is untyped
            async for event in stream.events():
                await take(event.message, apply, dead_letter, io, retry_s)

        app.agent(channel, name=f"{topic}-agent")(consume)

    agent(names.items, lambda message: slow.item(message.key, message.value, message.offset))
    agent(names.profiles, lambda message: slow.profile(message.key, message.value))


async def take(
    message: Any,  # noqa: ANN401 - a Faust or aiokafka message: topic, partition, offset, key, value
    apply: Callable[[Any], None],
    dead_letter: DeadLetter,
    io: Executor,
    retry_s: float,
) -> None:
    """Apply one message, or dead-letter it; returns only when one of the two is done. Never raises `Exception`."""
    wait = retry_s
    refused: TerminalError | None = None
    while True:
        try:
            if refused is None:
                await asyncio.get_running_loop().run_in_executor(io, apply, message)
            else:
                await dead_letter(message, refused)
            return
        except TerminalError as error:
            refused = error
            log.warning("%s-%d@%d: %s", message.topic, message.partition, message.offset, error)
        except TransientError as error:
            log.warning("%s waits %.1f s: %s", message.topic, wait, error)
            await asyncio.sleep(wait)
            wait = min(2 * wait, 30.0)
        except Exception:
            log.exception("%s-%d@%d: unexpected; ending the process", message.topic, message.partition, message.offset)
            _end()


def _end() -> NoReturn:
    os._exit(EXIT_CODE)


def _key(key: bytes | None) -> str:
    if key is None:
        raise TerminalError("no_key", "the record has no key: publish with key = id")
    return check_id(key.decode("utf-8", "replace"))


def _same(key: str, entity_id: str) -> None:
    if key != entity_id:
        raise TerminalError("key_mismatch", f"key {key!r} is not the record's id {entity_id!r}: publish with key = id")


def _parse(kind: type[Record], value: bytes) -> Record:
    if len(value) > _MAX_BYTES:
        raise TerminalError("bad_profile", f"the profile has {len(value)} bytes; at most {_MAX_BYTES} are read")
    try:
        return kind.model_validate_json(value)
    except Exception as error:  # anything at all: it would end the process, again and again
        raise TerminalError("bad_profile", f"not a {kind.__name__}: {first_problem(error)}") from error
