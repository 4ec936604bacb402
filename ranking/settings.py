"""Settings of the room `ranking`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class RankingSettings(BaseModel):
    """Where data and releases live, and how a release is trained. Frozen; composed and passed in by the shell."""

    model_config = ConfigDict(frozen=True)

    movielens_dir: Path = Field(
        default=Path(".reki/cache/recbole/recbole/dataset_example/ml-100k"),
        description="Folder with MovieLens-100K as ml-100k.inter, .item and .user (RecBole) or u.data, u.item, u.user.",
    )
    releases_dir: Path = Field(default=Path(".reki/cache/releases"), description="Folder of trained releases.")
    train_seed: int = Field(default=0, ge=0, description="Seed of weights, shuffling and masking in training.")
    train_threads: int = Field(
        default=1, ge=1, le=64, description="CPU threads of training; its steps are too small to gain from more."
    )
    train_epochs: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Epochs of the ranker; 0 = as many as the folds took (ranking/settled.json).",
    )
