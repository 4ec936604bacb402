"""The head's raw columns of all items of all lists, for one fold; computed once and kept."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import knowledge
from encoders.sentence import resolve_encoder_id
from ranking.collaborative import RANK
from ranking.columns import set_anchors, without_own_ratings
from ranking.evaluate.lists import Kind, Lists
from ranking.evaluate.metrics import Numbers
from ranking.evaluate.store import put, take
from ranking.evaluate.version import code_version, data_version
from ranking.fold import HISTORY, fold_users
from ranking.head import MatchingHead, widths
from ranking.inputs import Samples, Space, index_of
from ranking.shape import RankerShape
from ranking.sources import Sources, encode_texts, item_space

DIM = 16  # d, the width of a factor's vector
_LISTS_AT_ONCE = 256
_UNREAD = ("experienced", "neighbourhood", "anchored_knowledge")  # in no variant that reranks


def kept_columns(
    sources: Sources, data: Path, encodings: Path, cache: Path, fold: int, kind: Kind, samples: Samples, lists: Lists
) -> dict[str, Tensor]:
    """Raw columns f16[n, L, width] by group, with everything fitted on the fold's training users."""
    code = code_version(["ranking.evaluate.list_columns"])
    recorded = Path(knowledge.__file__).parent / "data"
    encoder = resolve_encoder_id().replace("/", "-")
    path = cache / f"lists-{kind}-{fold}-{data_version([data, recorded])}-{encoder}-{code}.npz"
    if not path.exists():
        made = _columns(sources, encodings, fold, samples, lists)
        put(path, {name: tensor.numpy() for name, tensor in made.items()})
    return {name: torch.from_numpy(array) for name, array in take(path).items()}


def lists_of_users(samples: Samples, lists: Lists, users: Sequence[str]) -> Numbers:
    """Numbers of the lists of these users."""
    rows = {user: row for row, user in enumerate(samples.users)}
    return np.flatnonzero(np.isin(lists.user, [rows[user] for user in users if user in rows]))


def _columns(sources: Sources, encodings: Path, fold: int, samples: Samples, lists: Lists) -> dict[str, Tensor]:
    split = fold_users(sources.data, fold)
    vocabulary = sources.vocabulary(split.train)
    index = index_of(samples.items, vocabulary)
    space = item_space(encode_texts(sources, samples.users, encodings).items, DIM)
    shape = RankerShape(
        len(vocabulary) + 2,
        factors=space.shape[1],
        dim=space.shape[2],
        anchors=len(sources.store.catalogue.anchors),
        groups=tuple(name for name in widths(1) if name not in _UNREAD),
        collaborative=RANK,
    )
    head = MatchingHead(shape)
    set_anchors(head, sources, split.train, vocabulary, space)
    columns: dict[str, Tensor] = {}
    for users in without_own_ratings(head, sources, split.train, (*split.valid, *split.test), vocabulary, space):
        _fill(columns, head, samples, lists, space, index, lists_of_users(samples, lists, users))
    return columns


def _fill(
    columns: dict[str, Tensor],
    head: MatchingHead,
    samples: Samples,
    lists: Lists,
    space: Tensor,
    index: Tensor,
    numbers: Numbers,
) -> None:
    """Compute the raw columns of these lists and put them into `columns`, in place."""
    blank = Space(space, torch.zeros(len(space), 1), torch.zeros(len(samples.users), 1))  # no summaries here
    with torch.inference_mode():
        for start in range(0, len(numbers), _LISTS_AT_ONCE):
            chunk = numbers[start : start + _LISTS_AT_ONCE]
            items = torch.from_numpy(lists.item[chunk])
            batch = samples.batch(lists.sample[chunk], blank, index, HISTORY)
            batch |= {"item_index": index[items], "item_vec": space[items]}
            batch["item_mask"] = torch.ones(items.shape, dtype=torch.uint8)
            made = head.columns(batch, head.groups)
            for name in head.groups:
                if name not in columns:
                    columns[name] = torch.zeros(*lists.item.shape, made[name].shape[2], dtype=torch.float16)
                columns[name][torch.from_numpy(chunk)] = made[name].half()
