"""Settings of the feature repository."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _project(value: str) -> str:
    # Feast's own rule for project names, made stricter: the name is also part of Redis keys and topic names.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", value):
        raise ValueError("a namespace is 1 to 31 characters from a-z 0-9 _ and starts with a letter")
    return value


def _redis(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise ValueError("a Redis address looks like redis://host:6379/0 (rediss:// with TLS)")
    return value


class FeatureSettings(BaseModel):
    """Where features are written and read; passed in, never read from the environment here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: Annotated[str, AfterValidator(_project)] = Field(
        default="reki", description="Feast project, and the prefix of every topic and key of this environment."
    )
    redis_url: Annotated[str, AfterValidator(_redis)] = Field(
        default="redis://127.0.0.1:6379/0", description="Online store: any server that speaks Redis' protocol."
    )
    offline_dir: Path = Field(
        default=Path(".reki/data/offline"), description="Folder of the offline store's Lance data sets."
    )
    registry_path: Path = Field(default=Path(".reki/data/registry.db"), description="File of Feast's registry.")
    feast_repo: Path = Field(
        default=Path("feature_repo"), description="Folder of definitions.py and feature_store.yaml."
    )
    offline_flush_rows: int = Field(
        default=5000, ge=1, description="Offline rows are appended when so many are buffered ..."
    )
    offline_flush_s: float = Field(
        default=1.0, gt=0, description="... or when the oldest has waited so long, in seconds."
    )
    offline_compact_s: float = Field(
        default=600.0,
        ge=0,
        description="A refresh worker compacts the offline store so often, in seconds; 0 = never: then run "
        "`reki compact`, and `reki compact --purge` after forgetting.",
    )
    offline_keep_versions_s: float = Field(
        default=600.0, ge=0, description="The compactor keeps old Lance versions so long, for readers, in seconds."
    )
