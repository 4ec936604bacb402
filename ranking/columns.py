"""The head's raw columns of many samples at once, with what the head's tables need fitted on training users."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ranking.collaborative import anchor_likeness, collaborative_vectors, out_of_fold, tastes, told_tastes
from ranking.head import MatchingHead
from ranking.inputs import Ints, Samples, Space
from ranking.sources import Sources

_ROWS = 64  # at once: the regressions' matrices then stay in the processor's cache
Columns = dict[str, Tensor]  # group -> f16[n, width]


def set_anchors(
    head: MatchingHead, sources: Sources, training: Sequence[str], vocabulary: Mapping[str, int], item_vec: Tensor
) -> tuple[float, ...]:
    """Fill the anchor tables; returns the LLM's mean value per anchor over training users."""
    anchors = sources.store.catalogue.anchors
    rows = {item: row for row, item in enumerate(sources.data.items, start=1)}
    means = sources.anchor_means(training)
    head.anchor_vec.copy_(item_vec[[rows.get(anchor, 0) for anchor in anchors]])
    # An anchor outside the vocabulary is no candidate's own index: -1, for 1 would match every unknown item.
    head.anchor_index.copy_(torch.tensor([vocabulary.get(anchor, -1) for anchor in anchors], dtype=torch.int32))
    head.anchor_means.copy_(torch.tensor(means))
    return means


def set_collaborative(
    head: MatchingHead, sources: Sources, users: Sequence[str], vocabulary: Mapping[str, int], item_vec: Tensor
) -> None:
    """Fill the collaborative tables from the ratings of `users`."""
    vectors = collaborative_vectors(sources.data.ratings, users, vocabulary)
    head.collaborative.copy_(vectors)
    factors, usual = tastes(sources.data.ratings, users, vocabulary)
    head.taste.copy_(factors)
    head.items.copy_(usual)
    known = torch.zeros(len(factors), *item_vec.shape[1:])
    for row, item in enumerate(sources.data.items, start=1):
        if item in vocabulary:
            known[vocabulary[item]] = item_vec[row]
    head.told_taste.copy_(told_tastes(known, factors, usual))
    head.anchor_likeness.copy_(anchor_likeness(vectors, vocabulary, sources.store.catalogue.anchors))


def without_own_ratings(
    head: MatchingHead,
    sources: Sources,
    training: Sequence[str],
    others: Sequence[str],
    vocabulary: Mapping[str, int],
    item_vec: Tensor,
) -> Iterable[Sequence[str]]:
    """Users in parts, the collaborative tables set so that nobody's own ratings are in what they are compared with.

    Training users come in five parts, each with the tables of the other four; then `others`, with those of all
    training users, which stay.
    """
    for users, rest in out_of_fold(training):
        set_collaborative(head, sources, rest, vocabulary, item_vec)
        yield users
    set_collaborative(head, sources, training, vocabulary, item_vec)
    yield others


def fill(
    columns: Columns,
    head: MatchingHead,
    samples: Samples,
    item_vec: Tensor,
    index: Tensor,
    numbers: Ints,
    history: int,
    groups: tuple[str, ...],
    prefix: str = "",
) -> None:
    """Compute the raw columns of these samples and put them into `columns` under prefix + group, in place."""
    blank = Space(item_vec, torch.zeros(len(item_vec), 1), torch.zeros(len(samples.users), 1))  # no summaries here
    with torch.inference_mode():
        for start in range(0, len(numbers), _ROWS):
            chunk = numbers[start : start + _ROWS]
            made = head.columns(samples.batch(chunk, blank, index, history), groups)
            for name in groups:
                values = made[name].squeeze(1).half()
                if prefix + name not in columns:
                    columns[prefix + name] = torch.zeros(len(samples), values.shape[1], dtype=torch.float16)
                columns[prefix + name][torch.from_numpy(chunk)] = values
