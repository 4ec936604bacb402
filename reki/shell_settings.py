"""Settings of the shell itself: where this clone keeps its things, and which services the embedded stack runs."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ShellSettings(BaseModel):
    """What no room needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(
        default=Path(".reki/data"), description="Data of `reki up`: online store, topics, offline store, registry."
    )
    cache: Path = Field(
        default=Path(".reki/cache"),
        description="What set-up fetched or computed: jars, data, encodings, releases. Clones may share one.",
    )
    broker: Literal["auto", "kafka", "last-resort"] = Field(
        default="auto",
        description="Embedded broker: auto (Apache Kafka where there is java), kafka (only that), last-resort.",
    )
    kafka_home: Path | None = Field(
        default=None, description="An Apache Kafka to run instead of the fetched one (also read from KAFKA_HOME)."
    )
    release: str = Field(
        default="", description="Release in use: its id in releases_dir, or a folder; empty = the newest there."
    )
    llm_slots: int = Field(default=2, ge=1, le=16, description="Requests that the embedded LLM answers at once.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="What the workers write to their logs."
    )
