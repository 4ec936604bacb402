"""Settings of the room `encoders`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class EncoderSettings(BaseModel):
    """How texts become vectors. Frozen; composed and passed in by the shell."""

    model_config = ConfigDict(frozen=True)

    encoder_id: str = Field(
        default="all-MiniLM-L6-v2",
        description="Sentence encoder: all-MiniLM-L6-v2 (shipped, offline) or the folder of a sentence-transformers "
        "model. A suffix +bf16 computes in bfloat16. Part of every release.",
    )
    encoding_cache_dir: Path = Field(
        default=Path(".reki/cache/encodings"), description="Folder of cached text encodings, by encoder and text hash."
    )
    encoder_batch: int = Field(default=64, ge=1, le=1024, description="Texts per forward pass of the encoder.")
