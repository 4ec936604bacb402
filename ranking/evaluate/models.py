"""What the runner trains: the project's own material and models, by the two names that a worker looks for."""

from ranking.fold import build_fold
from ranking.variants import train_variant

__all__ = ["build_fold", "train_variant"]
