"""The weights of a release as tensors, without building its networks."""

from collections.abc import Mapping

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from knowledge.base import TerminalError
from ranking.release import Release

FILES = ("hein.safetensors", "ranker.safetensors")


def tensors(release: Release, file: str) -> Mapping[str, Tensor]:
    """Tensors of one of `FILES` by name; raises `TerminalError` (`bad_release`) if it cannot be read."""
    try:
        return load((release.path / file).read_bytes())
    except (OSError, SafetensorError) as error:
        raise TerminalError("bad_release", f"the weights in {release.path / file} cannot be read: {error}") from error
