"""What the runner trains for freshness: `ours` once, scored on every row that shows a measured sample in some way.

The material is the design split's, with those rows behind its own. Tables and anchor means are fitted on the design
split's training users; a tenth of these stops training early (their columns, like all training users', are out of
fold), and the rest trains.
"""

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from encoders.expected import expected
from knowledge.base import TerminalError
from knowledge.scenario import load_scenario
from ranking.collaborative import RANK
from ranking.columns import Columns, fill, set_anchors, set_collaborative
from ranking.evaluate.freshness import Table, freshness_split, freshness_table
from ranking.fold import HISTORY, RING, Fold, FoldMaterial, fold_users
from ranking.fold import build_fold as build_design
from ranking.head import MatchingHead
from ranking.inputs import Floats, Samples, index_of, side_of
from ranking.ring import Ring, rings
from ranking.shape import RankerShape
from ranking.sources import Sources
from ranking.variants import VARIANTS, train_variant

__all__ = ["VARIANT", "build_fold", "extended", "shown_samples", "train_variant"]

VARIANT = "ours"


def build_fold(
    data: Path | str, encodings: Path | str, cache: Path | str | None, fold: Fold, page_blind: bool
) -> FoldMaterial:
    """The design split's material, its `test` being the table's rows in order.

    Raises `TerminalError` (`bad_option`) for another split, or page-blind: the refreshes are of this one.
    """
    if fold != "design" or page_blind:
        raise TerminalError("bad_option", "freshness is measured on the split design, in strict order")
    material, sources = build_design(data, encodings, cache, "design"), Sources.load(data)
    return extended(material, sources, freshness_table(sources))


def extended(material: FoldMaterial, sources: Sources, table: Table) -> FoldMaterial:
    """`material` of the design split with the table's rows behind it, and the parts of `freshness_split`."""
    split, training = freshness_split(sources.data), fold_users(sources.data, "design").train
    samples, space = shown_samples(sources, table), material.item_vec
    vocabulary = sources.vocabulary(training)
    index = index_of(samples.items, vocabulary)
    groups = tuple(VARIANTS[VARIANT].groups)
    anchors = len(sources.store.catalogue.anchors)
    shape = RankerShape(
        material.vocabulary, space.shape[1], space.shape[2], anchors=anchors, groups=groups, collaborative=RANK
    )
    head = MatchingHead(shape)
    set_anchors(head, sources, training, vocabulary, space)
    set_collaborative(head, sources, training, vocabulary, space)
    columns: Columns = {}
    numbers = np.arange(len(samples))
    fill(columns, head, samples, space, index, numbers, HISTORY, groups)
    ids = samples.ids(numbers, index, HISTORY)
    row_of = {user: row for row, user in enumerate(material.users)}
    people = torch.tensor([row_of[table.users[row.user]] for row in table.rows])

    def of(users: tuple[str, ...]) -> np.ndarray:
        return np.flatnonzero(np.isin(material.user.numpy(), [row_of[user] for user in users if user in row_of]))

    return replace(
        material,
        user=torch.cat([material.user, people]),
        item=torch.cat([material.item, torch.from_numpy(samples.item)]),
        label=torch.cat([material.label, torch.from_numpy(samples.label)]),
        since=torch.cat([material.since, torch.from_numpy(samples.since)]),
        ids={name: torch.cat([tensor, ids[name]]) for name, tensor in material.ids.items()},
        columns={name: torch.cat([material.columns[name], columns[name]]) for name in groups},
        train=of(split.train),
        valid=of(split.valid),
        test=len(material.user) + numbers,
    )


def shown_samples(sources: Sources, table: Table) -> Samples:
    """What the table's rows show, in their order; the "users" of the result are states of knowledge.

    `build_samples` cannot be used: it takes frozen records alone, and the history that follows.
    """
    by_user, items, scenario = sources.data.by_user(), tuple(sources.data.items), load_scenario("films")
    place_of = {item: row for row, item in enumerate(items, start=1)}
    width = len(items) + 1
    hot = {item: _one_hot(row, width) for item, row in place_of.items()}
    anchors = sources.store.catalogue.anchors
    states: dict[tuple[str, int, int], int] = {}
    likes: list[Floats] = []
    values: list[Floats] = []
    ring_parts: list[Ring] = []
    state: list[int] = []
    item: list[int] = []
    label: list[float] = []
    for number, rows in groupby(table.rows, key=lambda row: row.user):
        own, user = list(rows), table.users[number]
        ratings = by_user[user]
        sides = [side_of(scenario, rating) for rating in ratings]
        records = {record.source_rev: record.expectations for record in sources.store.refreshes(user)}
        ring_parts.append(rings(ratings, sides, place_of, [row.seen for row in own], RING))
        for row in own:
            key = (user, row.known, row.said)
            if key not in states:
                touched = {rating.item_id: rating.value for rating in ratings[: row.known]}
                means, at_anchors = expected(records[row.said], touched, hot, anchors, (1, width))
                states[key] = len(states)
                likes.append(means[:, 0])
                values.append(at_anchors)
            state.append(states[key])
            item.append(place_of[ratings[row.position].item_id])
            label.append(float(sides[row.position] > 0))
    return Samples(
        tuple(f"{user} {known} {said}" for user, known, said in states),
        items,
        np.array(state, dtype=np.int64),
        np.array(item, dtype=np.int64),
        np.array(label, dtype=np.float32),
        np.array([row.since for row in table.rows], dtype=np.int64),
        Ring.joined(ring_parts),
        np.stack(likes),
        np.stack(values),
        np.ones(len(state), dtype=np.bool_),
    )


def _one_hot(row: int, width: int) -> Floats:
    vector = np.zeros((1, width), dtype=np.float32)
    vector[0, row] = 1.0
    return vector
