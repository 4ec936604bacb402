"""From stored rows to the ranker's tensors and to the facts about them. numpy only: this runs inside Triton."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from serving.reader import ITEM_OTHER_RELEASE, ITEM_UNKNOWN, MOST_REV, Read, UserRow
from serving.session import Recent, with_session
from serving.store_layout import Sizes

Array = npt.NDArray[np.generic]

USER_UNKNOWN = 1  # no row at all
USER_NO_HISTORY = 2
USER_NO_EXPERIENCED = 4
USER_NO_EXPECTATIONS = 8
USER_SOURCE_NOT_ACCEPTED = 16  # expectations of a source that the release was not trained for: masked
USER_OTHER_RELEASE = 32  # vectors of another release: masked
USER_NO_SUMMARY = 64

# Positions in `user_mask`; 1 = the ranker may use the part.
PARTS = ("history", "experienced", "expected", "summary")

# Everything that flows from `features` to `ranker` for one request, without the batch dimension.
USER_TENSORS = (
    *("user_stats", "user_experienced", "user_expected", "user_anchors", "user_summary", "user_mask"),
    *("hist_index", "hist_value", "hist_vec"),
)
ITEM_TENSORS = ("item_index", "item_vec", "item_summary", "item_mask")
RANKER_TENSORS = (*USER_TENSORS, *ITEM_TENSORS)


@dataclass(frozen=True)
class ReleaseFacts:
    """What the features model must know of a release."""

    release: str
    accepted_knowledge: frozenset[str]
    liked_above: float  # a session rating above it counts as liked
    value_range: tuple[float, float]  # the scenario's scale


@dataclass(frozen=True)
class Wanted:
    """One checked request."""

    user_id: bytes
    item_ids: list[bytes]
    recent: tuple[Recent, ...] = ()  # newest first

    def items(self) -> list[bytes]:
        """Every item that the request names."""
        return [*self.item_ids, *(event.item_id for event in self.recent)]


def assemble_apart(
    wanted: Sequence[Wanted], read: Read, sizes: Sizes, facts: ReleaseFacts, now_us: int
) -> list[dict[str, Array] | Exception]:
    """`assemble`, but a request that cannot be assembled fails alone: its place holds what was raised."""
    try:
        return [*assemble(wanted, read, sizes, facts, now_us)]
    except Exception as error:  # whatever it is, it must not reach the other users of the batch
        if len(wanted) == 1:
            return [error]
    return [
        answer
        for request, user in zip(wanted, read.users, strict=True)
        for answer in assemble_apart([request], replace(read, users=[user]), sizes, facts, now_us)
    ]


def assemble(
    wanted: Sequence[Wanted], read: Read, sizes: Sizes, facts: ReleaseFacts, now_us: int
) -> list[dict[str, Array]]:
    """Per request all tensors of the design, "Serving", each with a leading batch dimension of 1.

    Beside them `item_first` i32[1, N]: where the same id stands first, so that doubles get one score.
    """
    sizes_fd = (sizes.factors, sizes.dim)
    batch = len(wanted)
    block: dict[str, Array] = {
        "user_stats": np.zeros((batch, sizes.stored_stats + 1), np.float32),
        "user_experienced": np.zeros((batch, 2, *sizes_fd), np.float32),
        "user_expected": np.zeros((batch, 2, *sizes_fd), np.float32),
        "user_anchors": np.zeros((batch, sizes.anchors), np.float32),
        "user_summary": np.zeros((batch, sizes.summary), np.float32),
        "user_mask": np.zeros((batch, len(PARTS)), np.uint8),
        "hist_index": np.zeros((batch, sizes.history), np.int32),
        "hist_value": np.zeros((batch, sizes.history), np.float32),
        "user_fallback": np.zeros((batch, 1), np.uint8),
        "history_age_s": np.full((batch, 1), np.nan, np.float32),
        "knowledge_age_s": np.full((batch, 1), np.nan, np.float32),
        "events_since_knowledge": np.zeros((batch, 1), np.int32),
    }
    hist_rows = np.zeros((batch, sizes.history), np.intp)
    answers = []
    for place, (request, stored) in enumerate(zip(wanted, read.users, strict=True)):
        user = stored
        if request.recent:
            user = with_session(
                stored,
                request.recent,
                lambda item_id: read.items.vec[read.row[item_id]],
                facts.liked_above,
                sizes.history,
                usable=stored.experienced is None or stored.experienced_release == facts.release,
            )
            if stored.experienced is None:
                user = replace(user, experienced_release=facts.release)
        _fill_user(block, place, user, sizes, facts, now_us)
        hist_rows[place, : len(user.history)] = read.rows(user.history)
        answers.append(_items(request.item_ids, read, sizes))
    block["hist_index"][:] = read.items.index[hist_rows]
    block["hist_vec"] = read.items.vec[hist_rows].reshape(batch, sizes.history, *sizes_fd)
    for place, answer in enumerate(answers):
        answer.update({name: array[place : place + 1] for name, array in block.items()})
        source = read.users[place].expected_source
        answer["knowledge_version"] = np.array([[source.encode()]], np.object_)
        answer["release"] = np.array([[facts.release.encode()]], np.object_)
    return answers


def _fill_user(
    block: Mapping[str, Array], place: int, user: UserRow, sizes: Sizes, facts: ReleaseFacts, now_us: int
) -> None:
    bits = 0 if user.known else USER_UNKNOWN
    mask = block["user_mask"][place]
    since = min(max(user.rev - user.knowledge_rev, 0), MOST_REV)  # session events may come on top of the largest
    block["events_since_knowledge"][place, 0] = since
    block["user_stats"][place, sizes.stored_stats] = np.log1p(since)
    if user.stats is not None:
        block["user_stats"][place, : sizes.stored_stats] = user.stats
    if user.history_written_us is not None:
        block["history_age_s"][place, 0] = max(now_us - user.history_written_us, 0) / 1e6
    if user.expected_written_us is not None:
        block["knowledge_age_s"][place, 0] = max(now_us - user.expected_written_us, 0) / 1e6

    if user.history:
        block["hist_value"][place, : len(user.history)] = user.history_values
        mask[0] = 1
    else:
        bits |= USER_NO_HISTORY
    if user.experienced is None:
        bits |= USER_NO_EXPERIENCED
    elif user.experienced_release != facts.release:
        bits |= USER_OTHER_RELEASE
    else:
        block["user_experienced"][place].flat = user.experienced
        mask[1] = 1

    ours = user.expected_release == facts.release
    accepted = user.expected_source in facts.accepted_knowledge
    if user.expected is not None or user.summary is not None:
        bits |= (0 if ours else USER_OTHER_RELEASE) | (0 if accepted else USER_SOURCE_NOT_ACCEPTED)
    if user.expected is None or user.anchors is None:
        bits |= USER_NO_EXPECTATIONS
    elif ours and accepted:
        block["user_expected"][place].flat = user.expected
        block["user_anchors"][place] = user.anchors
        mask[2] = 1
    if user.summary is None or not user.summary.any():
        bits |= USER_NO_SUMMARY
    elif ours and accepted:
        block["user_summary"][place] = user.summary
        mask[3] = 1
    block["user_fallback"][place, 0] = bits


def _items(item_ids: list[bytes], read: Read, sizes: Sizes) -> dict[str, Array]:
    rows = read.rows(item_ids)
    count = len(item_ids)
    bits = read.items.bits[rows]
    first: dict[bytes, int] = {}
    return {
        "item_index": read.items.index[rows].reshape(1, count),
        "item_vec": read.items.vec[rows].reshape(1, count, sizes.factors, sizes.dim),
        "item_summary": read.items.summary[rows].reshape(1, count, sizes.summary),
        "item_mask": ((bits & (ITEM_UNKNOWN | ITEM_OTHER_RELEASE)) == 0).astype(np.uint8).reshape(1, count),
        "item_fallback": bits.reshape(1, count),
        "item_first": np.array(list(map(first.setdefault, item_ids, range(count))), np.int32).reshape(1, count),
    }
