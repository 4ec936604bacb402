"""What a fold's fitting may see, and which samples train, validate and test: by users, or by time."""

from dataclasses import dataclass

from ranking.inputs import Ints
from ranking.sources import Sources


@dataclass(frozen=True)
class FoldParts:
    """One fold's division of users, ratings and samples."""

    known: Sources  # its ratings are those that fitting may see
    rated: tuple[str, ...]  # users whose ratings are in the tables, each left out of those that they are compared with
    others: tuple[str, ...]  # users compared with the ratings of all `rated`
    told: tuple[str, ...]  # users whose knowledge fitting may see
    alike: tuple[tuple[str, ...], ...]  # groups in which the control gives a user another one's expectations
    train: Ints  # numbers of samples
    valid: Ints
    test: Ints
