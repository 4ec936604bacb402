"""Everybody who is clustered: representations, what a prompt may tell of each, what assembly needs of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encoders.experienced import experienced_many
from encoders.finder import history_events
from encoders.history import effective
from encoders.representation import title_representation, user_representation
from encoders.settings import EncoderSettings
from knowledge.base import TerminalError
from knowledge.collective import ClusterMember
from knowledge.requests import UserRequest, effective_history
from reki.knowledge.subjects import Subjects, UserSubject

if TYPE_CHECKING:
    from streams.release_parts import RefreshRelease

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ItemSpace:
    """Items' vectors f32[F, d] with `shape` = (F, d); `name` tells spaces apart."""

    name: str
    vectors: dict[str, Vectors]
    shape: tuple[int, int]

    def experienced(self, requests: Sequence[UserRequest]) -> Vectors:
        """Users' experienced vectors f32[n, 2, F, d]."""
        return experienced_many([effective(history_events(one)) for one in requests], self.vectors, self.shape)


@dataclass(frozen=True)
class Population:
    """Ids with representations f32[n, D]; `users` holds the requests of users by id, empty for items.

    `without`: how many were left out, because nothing that they touched has a vector.
    """

    ids: list[str]
    vectors: Vectors
    representation: str
    members: dict[str, ClusterMember]
    users: dict[str, UserSubject]
    without: int = 0

    def own_values(self, user_id: str) -> dict[str, float]:
        """The user's own newest value by item."""
        history = self.users[user_id].request.history
        return {entry.item_id: entry.value for entry in effective_history(history)}


def items(subjects: Subjects, ids: Sequence[str], settings: EncoderSettings) -> Population:
    """Items by the encoding of title and genres: collective knowledge is for items of which nothing is known yet."""
    profiles = [subject.profile for subject in subjects.items(ids)]
    encoder_id, vectors = _titles(subjects, [profile.item_id for profile in profiles], settings)
    members = {one.item_id: ClusterMember(one.item_id, one.fields, title=one.title) for one in profiles}
    return _population(list(members), vectors, f"title_genres|{encoder_id}", members, {})


def users(
    subjects: Subjects, ids: Sequence[str], settings: EncoderSettings, release: "RefreshRelease | None"
) -> Population:
    """Users by what they liked and disliked: in item knowledge of the release, or, without one, in item titles."""
    found = {subject.entity_id: subject for subject in subjects.users(ids)}
    touched = list(dict.fromkeys(entry.item_id for one in found.values() for entry in one.request.history))
    space = item_space(subjects, touched, settings, release)
    vectors = user_representation(space.experienced([one.request for one in found.values()]))
    members = {
        user: ClusterMember(user, one.request.profile, tuple(one.request.history)) for user, one in found.items()
    }
    return _population(list(found), dict(zip(found, vectors, strict=True)), f"experienced{space.name}", members, found)


def item_space(
    subjects: Subjects, ids: Sequence[str], settings: EncoderSettings, release: "RefreshRelease | None"
) -> ItemSpace:
    """Vectors of items: those of the release, or, without one, encoded titles and genres."""
    if release is None:
        encoder_id, rows = _titles(subjects, ids, settings)
        shape = (1, next((len(row) for row in rows.values()), 1))
        return ItemSpace(f"_titles|{encoder_id}", {item: row[None, :] for item, row in rows.items()}, shape)
    from reki.knowledge.online import OnlineSubjects

    if not isinstance(subjects, OnlineSubjects):
        raise TypeError("a release's vectors are in a stack's stores")
    return ItemSpace(f"|{release.release_id}", subjects.item_vectors(release, ids), release.shape)


def _population(
    ids: list[str],
    vectors: dict[str, Vectors],
    representation: str,
    members: dict[str, ClusterMember],
    subjects: dict[str, UserSubject],
) -> Population:
    placed = [one for one in ids if one in vectors and vectors[one].any()]
    if not placed:
        raise TerminalError("no_subjects", "nobody has a vector to be clustered by: generate items first")
    return Population(
        placed,
        np.stack([vectors[one] for one in placed]).astype(np.float32),
        representation,
        {one: members[one] for one in placed},
        {one: subjects[one] for one in placed if one in subjects},
        len(ids) - len(placed),
    )


def _titles(subjects: Subjects, ids: Sequence[str], settings: EncoderSettings) -> tuple[str, dict[str, Vectors]]:
    from encoders.sentence import SentenceEncoder
    from encoders.text_cache import EncodingCache

    encoder = SentenceEncoder(settings.encoder_id, settings.encoder_batch)
    profiles = [subject.profile for subject in subjects.items(ids)]
    rows: Sequence[Vectors] = []
    if profiles:
        rows = list(title_representation(profiles, encoder, EncodingCache(settings.encodings_dir)))
    return encoder.encoder_id, {one.item_id: row for one, row in zip(profiles, rows, strict=True)}
