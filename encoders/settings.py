"""Settings of the room `encoders`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class EncoderSettings(BaseModel):
    """How texts become vectors. Frozen; composed and passed in by the shell."""

    model_config = ConfigDict(frozen=True)

    encoder_id: str = Field(
        default="auto",
        description="Sentence encoder: auto (all-MiniLM-L6-v2, in bfloat16 where the CPU computes it natively), "
        "all-MiniLM-L6-v2, all-MiniLM-L6-v2+bf16, or the folder of a sentence-transformers model. "
        "A release names its own encoder; this one is for new releases.",
    )
    encodings_dir: Path = Field(
        default=Path(".reki/cache/encodings"), description="Folder of cached text encodings, by encoder and text hash."
    )
    encoder_batch: int = Field(default=64, ge=1, le=1024, description="Texts per forward pass of the encoder.")
