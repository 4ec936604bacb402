"""CTR backbones behind one interface: `forward(batch, fields) -> logits [B, N]`. A backbone is a file and a line."""

from collections.abc import Callable

from torch import nn

from ranking.backbones.autoint import AutoInt
from ranking.backbones.dcn import Dcn
from ranking.backbones.dcnv2 import DcnV2
from ranking.backbones.deepfm import DeepFm
from ranking.backbones.dien import Dien
from ranking.backbones.din import Din
from ranking.backbones.fibinet import FiBiNet
from ranking.backbones.fignn import FiGnn
from ranking.backbones.parts import READS
from ranking.backbones.xdeepfm import XDeepFm
from ranking.shape import RankerShape

BACKBONES: dict[str, Callable[[RankerShape, int], nn.Module]] = {
    "din": Din,
    "dien": Dien,
    "dcn": Dcn,
    "dcnv2": DcnV2,
    "deepfm": DeepFm,
    "xdeepfm": XDeepFm,
    "autoint": AutoInt,
    "fibinet": FiBiNet,
    "fignn": FiGnn,
}

__all__ = ["BACKBONES", "READS"]
