"""What training reads, computed once before the first step: samples, vectors, and the head's raw features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from encoders.hein import Hein, HeinShape, centre
from knowledge.base import TerminalError
from knowledge.scenario import Scenario, load_scenario
from ranking.collaborative import RANK
from ranking.columns import Columns, fill, set_anchors, without_own_ratings
from ranking.fit import Inputs, standardise
from ranking.fold import HISTORY, RING
from ranking.head import MatchingHead
from ranking.inputs import Ints, Samples, build_samples, index_of
from ranking.model import Ranker
from ranking.settled import VARIANT
from ranking.shape import RankerShape
from ranking.short_histories import with_short_histories
from ranking.sources import Sources, Texts, encode_texts
from ranking.training_users import TRAIN, Users
from ranking.variants import HEAD_HIDDEN, VARIANTS

Report = Callable[[str, int, int], None]
UserParts = Callable[[Sequence[str]], Mapping[str, Users]]


@dataclass(frozen=True)
class TrainingMaterial:
    """Everything but the weights that training moves. `ranker` has its tables, and the scale of its features."""

    sources: Sources
    scenario: Scenario
    encoder_id: str
    users: Mapping[str, Users]  # by part; the part `train` trains
    numbers: Mapping[str, Ints]  # of the samples of each part
    short: Ints  # of training samples' copies with short histories, which stand behind all samples
    sample_users: Ints  # [n] row of each sample's user, copies included
    vocabulary: Mapping[str, int]
    anchor_means: tuple[float, ...]
    hein: Hein
    ranker: Ranker
    inputs: Inputs


def prepare(
    data: Path, encodings: Path, encoder_id: str, user_parts: UserParts, report: Report, seed: int
) -> TrainingMaterial:
    """Read the data, encode what is not encoded yet, and compute. Only users of the part `train` reach what is fitted.

    `user_parts` chooses among the ids of all users, `seed` the samples that are copied with short histories. Draws the
    networks' first weights: seed torch before. Raises `TerminalError` for missing or damaged data.
    """
    report("data", 0, 1)
    sources, scenario = Sources.load(data), load_scenario("films")
    users = user_parts(list(sources.data.by_user()))
    wanted = {user for part in users.values() for user in part}
    known = {user: record for user, record in sources.store.users().items() if user in wanted}
    samples = build_samples(sources.data, known, sources.store.catalogue.anchors, scenario, RING)
    numbers = {name: samples.of(part) for name, part in users.items()}
    if not len(numbers[TRAIN]):
        raise TerminalError("no_data", "no training user has samples: there is nothing to learn from")
    samples, short = with_short_histories(samples, numbers[TRAIN], seed)
    report("data", 1, 1)
    texts = encode_texts(
        sources, samples.users, encodings, encoder_id, lambda done, total: report("encodings", done, total)
    )
    hein, item_vec, users_projected = _space(texts, samples, users[TRAIN])
    vocabulary = sources.vocabulary(users[TRAIN])
    index = index_of(samples.items, vocabulary)
    ranker = _ranker(len(vocabulary) + 2, len(sources.store.catalogue.anchors))
    means, features = _features(ranker, sources, samples, users, vocabulary, item_vec, index, report)
    # By the samples as they are: scales stay those of the evaluation's networks.
    standardise(_head(ranker), features[torch.from_numpy(numbers[TRAIN])])
    ids = samples.ids(np.arange(len(samples)), index, HISTORY)
    label, user, item = map(torch.from_numpy, (samples.label, samples.user, samples.item))
    inputs = Inputs(ids, label, user, item, item_vec, users_projected, features)
    return TrainingMaterial(
        sources,
        scenario,
        texts.encoder_id,
        users,
        numbers,
        short,
        samples.user,
        vocabulary,
        means,
        hein,
        ranker,
        inputs,
    )


def _ranker(vocabulary: int, anchors: int) -> Ranker:
    ours = VARIANTS[VARIANT]
    return Ranker(
        RankerShape(
            vocabulary=vocabulary,
            anchors=anchors,
            groups=tuple(ours.groups),
            backbone_history=ours.history,
            summaries=ours.summaries,
            collaborative=RANK,
            head_hidden=HEAD_HIDDEN,
            head_reweighs=True,
        )
    )


def _head(ranker: Ranker) -> MatchingHead:
    if ranker.head is None:
        raise ValueError("a release without a head has no knowledge")
    return ranker.head


def _features(
    ranker: Ranker,
    sources: Sources,
    samples: Samples,
    users: Mapping[str, Users],
    vocabulary: Mapping[str, int],
    item_vec: Tensor,
    index: Tensor,
    report: Report,
) -> tuple[tuple[float, ...], Tensor]:
    """Fill the head's tables; the LLM's mean value per anchor, and the raw features f32[n, K] of all samples."""
    head, train = _head(ranker), users[TRAIN]
    means = set_anchors(head, sources, train, vocabulary, item_vec)
    others = [user for name, part in users.items() if name != TRAIN for user in part]
    columns: Columns = {}
    groups = ranker.shape.groups
    for number, part in enumerate(without_own_ratings(head, sources, train, others, vocabulary, item_vec)):
        report("features", number, 6)
        fill(columns, head, samples, item_vec, index, samples.of(part), HISTORY, groups)
    report("features", 6, 6)
    return means, torch.cat([columns[name].float() for name in groups], dim=1)


def _space(texts: Texts, samples: Samples, train: Users) -> tuple[Hein, Tensor, Tensor]:
    """HEIN with its projections, vectors f32[R, F, d] of all items (row 0 = padding), f32[U, F, d] of users' texts."""
    items, item_mask = texts.items
    users, user_mask = texts.users
    hein = Hein(HeinShape(factors=items.shape[1], text_dim=items.shape[2]))
    training = torch.from_numpy(np.isin(np.array(samples.users), np.array(train)))
    hein.fit_space(items, item_mask, users[training], user_mask[training])
    # The projections stay at PCA (docs/decisions.md), so vectors and head features are computed once.
    hein.projection.requires_grad_(False)
    with torch.no_grad():
        item_vec = hein.project(centre(items, hein.item_mean, item_mask))
        item_vec = torch.cat([torch.zeros_like(item_vec[:1]), item_vec])
        return hein, item_vec, hein.project(centre(users, hein.user_mean, user_mask))
