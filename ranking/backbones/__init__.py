"""CTR backbones behind one interface: `forward(batch, fields) -> logits [B, N]`. A backbone is a file and a line."""

from collections.abc import Callable

from torch import nn

from ranking.backbones.dcnv2 import DcnV2
from ranking.backbones.din import Din
from ranking.shape import RankerShape

BACKBONES: dict[str, Callable[[RankerShape, int], nn.Module]] = {
    "din": Din,
    "dcnv2": DcnV2,
}

__all__ = ["BACKBONES", "DcnV2", "Din"]
