"""Cold users: the ranker sees the first few of a test user's own events and no later one, before every sample.

The samples stay those of the headline, so numbers of events can be compared. What the LLM was told stays too: the
recorded knowledge was written after the first 10 to 30 events. "0 events and knowledge" is therefore a user of whom
the knowledge service knows more than the ranker's log (an import, a lost log), and no user of whom nothing but a
profile is known: nothing of that kind was recorded. `since` is 0: what the ranker can count says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from knowledge.scenario import load_scenario
from ranking.collaborative import RANK
from ranking.columns import Columns, set_anchors, set_collaborative
from ranking.evaluate.masks import masked
from ranking.evaluate.robust_views import View
from ranking.fold import HISTORY, RING, Fold, FoldMaterial, fold_users
from ranking.head import EXPERIENCED, MatchingHead
from ranking.head import HISTORY as HISTORY_MASK
from ranking.inputs import Samples, Space, build_samples, index_of, side_of
from ranking.ring import Ring, rings
from ranking.shape import RankerShape
from ranking.sources import Sources
from ranking.variants import VARIANTS

CUTS = (0, 1, 3, 5, 10)  # events that the ranker sees
GROUPS = tuple(VARIANTS["ours"].groups)  # those of every variant that is compared


def cut_name(events: int, knowledge: bool) -> str:
    """Name of the view."""
    return f"events-{events}{'' if knowledge else '-nothing-told'}"


def cut_views(material: FoldMaterial, sources: Sources, fold: Fold, cuts: Sequence[int] = CUTS) -> Iterator[View]:
    """For each of `cuts` the test samples with the knowledge and without it; `material` is the fold's, strict order."""
    samples = test_samples(sources, fold)
    head, index = fitted_head(material, sources, fold)
    for events in cuts:
        cold = cut(samples, sources, events)
        columns = columns_by_user(head, cold, material.item_vec, index)
        ids = cold.ids(np.arange(len(cold)), index, HISTORY)
        if events == 0:  # as serving says it of a user without history
            ids["user_mask"][:, [HISTORY_MASK, EXPERIENCED]] = 0
        yield View(cut_name(events, True), ids, columns)
        yield View(cut_name(events, False), masked(ids, "expectations"), columns)


def test_samples(sources: Sources, fold: Fold) -> Samples:
    """Samples of the fold's test users alone, in the order of `FoldMaterial.test`."""
    known = sources.store.users()
    records = {user: known[user] for user in fold_users(sources.data, fold).test if user in known}
    return build_samples(sources.data, records, sources.store.catalogue.anchors, load_scenario("films"), RING)


def fitted_head(material: FoldMaterial, sources: Sources, fold: Fold) -> tuple[MatchingHead, Tensor]:
    """The head with the tables of all training users, as test users are compared with, and the vocabulary's index."""
    training = fold_users(sources.data, fold).train
    vocabulary = sources.vocabulary(training)
    factors, dim = material.item_vec.shape[1:]
    anchors = len(sources.store.catalogue.anchors)
    shape = RankerShape(material.vocabulary, factors, dim, anchors=anchors, groups=GROUPS, collaborative=RANK)
    head = MatchingHead(shape)
    set_anchors(head, sources, training, vocabulary, material.item_vec)
    set_collaborative(head, sources, training, vocabulary, material.item_vec)
    return head, index_of(sources.data.items, vocabulary)


def cut(samples: Samples, sources: Sources, events: int) -> Samples:
    """`samples`, before each of which the user has the first `events` events alone."""
    scenario, by_user = load_scenario("films"), sources.data.by_user()
    rows = {item: row for row, item in enumerate(samples.items, start=1)}
    parts = []
    for user in samples.users:
        first = by_user[user][:events]
        sides = [side_of(scenario, rating) for rating in first]
        parts.append(rings(first, sides, rows, [len(first)], RING))
    each = Ring.joined(parts)
    ring = Ring(each.item[samples.user], each.value[samples.user], each.side[samples.user])
    return replace(samples, ring=ring, since=np.zeros_like(samples.since))


def columns_by_user(head: MatchingHead, samples: Samples, item_vec: Tensor, index: Tensor) -> Columns:
    """`ranking.columns.fill` where all samples of a user show the same events: each regression is solved once a user.

    `samples` in the order of users; returns group -> f16[n, width].
    """
    blank = Space(item_vec, torch.zeros(len(item_vec), 1), torch.zeros(len(samples.users), 1))  # no summaries here
    made: dict[str, list[Tensor]] = {name: [] for name in GROUPS}
    with torch.inference_mode():
        for number in range(len(samples.users)):
            own = np.flatnonzero(samples.user == number)
            items = torch.from_numpy(samples.item[own])
            batch = samples.batch(own[:1], blank, index, HISTORY)
            batch |= {"item_vec": item_vec[items].unsqueeze(0), "item_index": index[items].unsqueeze(0)}
            for name, values in head.columns(batch, GROUPS).items():
                if name in made:
                    made[name].append(values.squeeze(0).half())
    return {name: torch.cat(values) for name, values in made.items()}
