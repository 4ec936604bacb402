"""CTR backbones behind one interface: `forward(batch, fields) -> logits [B, N]`. A backbone is a file and a line."""

from ranking.backbones.din import Din

BACKBONES = {"din": Din}

__all__ = ["BACKBONES", "Din"]
