"""The request-time reader: users and items of a whole batch in one or two round trips, without Feast's SDK.

One HMGET a user; candidates and history items come from the in-process cache, and what it lacks in one pipelined call
beside the users. Only numpy, hiredis and the standard library: this runs inside Triton.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from serving import values
from serving.connection import StoreConnection
from serving.item_cache import ItemCache, ItemRows
from serving.store_layout import StoreLayout

ITEM_UNKNOWN = 1  # no usable vector in the store
ITEM_NOT_IN_VOCABULARY = 2
ITEM_OTHER_RELEASE = 4  # a vector of another release: masked

PADDING, UNKNOWN = 0, 1  # vocabulary indices

MOST_REV = 2**31 - 1  # `events_since_knowledge` is INT32: a larger revision is damage

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class UserRow:
    """A user as stored. None, or an empty list, where the store has nothing usable."""

    known: bool
    history: list[bytes]  # newest first, at most H
    history_values: Floats  # f32[len(history)]
    rev: int  # events ever applied
    history_written_us: int | None
    experienced: Floats | None  # f32[2 * F * d]
    stats: Floats | None  # f32[S - 1]
    experienced_release: str
    expected: Floats | None  # f32[2 * F * d]
    anchors: Floats | None  # f32[A]
    summary: Floats | None  # f32[K]
    expected_release: str
    expected_source: str
    expected_written_us: int | None
    knowledge_rev: int  # events that the knowledge has seen


@dataclass(frozen=True)
class Read:
    """What a batch needs: its users in order, and one table of all items; `row` says where an item stands in it.

    Row 0 is padding.
    """

    users: list[UserRow]
    items: ItemRows
    row: Mapping[bytes, int]

    def rows(self, ids: Sequence[bytes]) -> Rows:
        """Rows of the table for `ids`."""
        return np.array(list(map(self.row.__getitem__, ids)), np.intp)


class StoreReader:
    """Reads users and items of one layout for one release. For one thread.

    `vocabulary` maps item ids to the release's indices. Raises `StoreUnavailable` where the store cannot answer.
    """

    def __init__(
        self,
        layout: StoreLayout,
        connection: StoreConnection,
        release: str,
        vocabulary: Mapping[bytes, int],
        cache_rows: int,
        cache_ttl_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.layout = layout
        self._connection = connection
        self._release = release.encode()
        self._vocabulary = vocabulary
        self._clock = clock
        sizes = layout.sizes
        self.cache = ItemCache(cache_rows, cache_ttl_s, sizes.width, sizes.summary, ITEM_UNKNOWN)
        self._user_command = layout.reader("user")
        self._item_command = layout.reader("item")
        self._user_fields = {name: place for place, name in enumerate(layout.fields["user"])}
        self._item_fields = {name: place for place, name in enumerate(layout.fields["item"])}
        # A key that holds something else than a row (the connection answers None) reads as an absent one.
        self._no_user: list[bytes | None] = [None] * len(self._user_fields)
        self._no_item: list[bytes | None] = [None] * len(self._item_fields)

    def read(self, user_ids: Sequence[bytes], item_ids: Sequence[Sequence[bytes]]) -> Read:
        """Read users and, per user, the items named beside the user's own history."""
        now = self._clock()
        row: dict[bytes, int] = {b"": 0}
        for ids in item_ids:
            for item_id in ids:
                row.setdefault(item_id, len(row))
        sizes = self.layout.sizes
        items = ItemRows.empty(len(row) + len(user_ids) * sizes.history, sizes.width, sizes.summary)
        named = list(row)[1:]
        missing = self.cache.fill(named, items, 1, now)
        replies = self._connection.call(
            [self._user_command(user_id) for user_id in user_ids]
            + [self._item_command(named[position]) for position in missing]
        )
        users = [self._user(reply or self._no_user) for reply in replies[: len(user_ids)]]
        self._decode_items([named[position] for position in missing], replies[len(user_ids) :], items, missing + 1, now)

        start = len(row)
        for user in users:
            for item_id in user.history:
                row.setdefault(item_id, len(row))
        seen = list(row)[start:]
        missing = self.cache.fill(seen, items, start, now)
        if len(missing):
            wanted = [seen[position] for position in missing]
            replies = self._connection.call([self._item_command(item_id) for item_id in wanted])
            self._decode_items(wanted, replies, items, missing + start, now)
        return Read(users, items, row)

    def close(self) -> None:
        """Close the connection; the cache stays."""
        self._connection.close()

    def _decode_items(
        self,
        ids: Sequence[bytes],
        replies: Sequence[list[bytes | None] | None],
        items: ItemRows,
        rows: Rows,
        now: float,
    ) -> None:
        if not ids:
            return
        rows_read = [reply or self._no_item for reply in replies]
        place = self._item_fields
        sizes = self.layout.sizes
        vec = np.zeros((len(ids), sizes.width), np.float32)
        summary = np.zeros((len(ids), sizes.summary), np.float32)
        usable = values.float_rows([reply[place["item_vec"]] for reply in rows_read], vec)
        usable &= values.float_rows([reply[place["item_summary"]] for reply in rows_read], summary)
        ours = np.fromiter(
            (_text(reply[place["item_release"]]) == self._release for reply in rows_read), bool, len(ids)
        )
        find = self._vocabulary.get
        index = np.fromiter((find(item_id, UNKNOWN) for item_id in ids), np.int32, len(ids))
        bits = np.where(usable, np.where(ours, 0, ITEM_OTHER_RELEASE), ITEM_UNKNOWN)
        items.bits[rows] = bits | np.where(index == UNKNOWN, ITEM_NOT_IN_VOCABULARY, 0)
        served = usable & ours
        items.vec[rows[served]] = vec[served]
        items.summary[rows[served]] = summary[served]
        items.index[rows] = index
        self.cache.store(ids, items, rows, now)

    def _user(self, reply: list[bytes | None]) -> UserRow:
        stored = _Stored(reply, self._user_fields)
        sizes = self.layout.sizes
        history = (stored.get("history_item_ids", values.texts) or [])[: sizes.history]
        history_values = stored.floats("history_values", None)
        if history_values is None or len(history_values) < len(history):
            history, history_values = [], np.zeros(0, np.float32)  # half a row is no row
        return UserRow(
            known=any(field is not None for field in reply),
            history=history,
            history_values=history_values[: len(history)],
            rev=stored.number("rev:user_history"),
            history_written_us=stored.get("history_written_at", values.integer),
            experienced=stored.floats("experienced_vec", 2 * sizes.width),
            stats=stored.floats("experienced_stats", sizes.stored_stats),
            experienced_release=_text(stored["experienced_release"]).decode(errors="replace"),
            expected=stored.floats("expected_vec", 2 * sizes.width),
            anchors=stored.floats("expected_anchors", sizes.anchors),
            summary=stored.floats("expected_summary", sizes.summary),
            expected_release=_text(stored["expected_release"]).decode(errors="replace"),
            expected_source=_text(stored["expected_source"]).decode(errors="replace"),
            expected_written_us=stored.get("expected_written_at", values.integer),
            knowledge_rev=stored.number("rev:user_expected"),
        )


class _Stored:
    """One HMGET reply by feature name."""

    def __init__(self, reply: list[bytes | None], place: Mapping[str, int]) -> None:
        self._reply = reply
        self._place = place

    def __getitem__(self, name: str) -> bytes | None:
        return self._reply[self._place[name]]

    def get(self, name: str, decode: Callable[[bytes], Any]) -> Any:  # noqa: ANN401 - what `decode` returns
        """The decoded feature; None where it is missing or unreadable."""
        data = self[name]
        if data is None:
            return None
        try:
            return decode(data)
        except ValueError:  # BadValue, or text that is not UTF-8: somebody else's write must not stop serving
            return None

    def floats(self, name: str, width: int | None) -> Floats | None:
        """A list of finite floats of exactly `width` (None: any)."""
        found: Floats | None = self.get(name, values.floats)
        if found is None or (width is not None and len(found) != width) or not np.isfinite(found).all():
            return None
        return found

    def number(self, name: str) -> int:
        """Digits, as our writer keeps revisions; 0 where there are none, or more than a revision can have."""
        data = self[name]
        if data is None or len(data) > len(str(MOST_REV)) or not data.isdigit():
            return 0
        found = int(data)
        return found if found <= MOST_REV else 0


def _text(data: bytes | None) -> bytes:
    """A string feature as UTF-8 bytes; empty where it is missing or unreadable."""
    try:
        return (values.text(data) or "").encode() if data is not None else b""
    except ValueError:
        return b""
