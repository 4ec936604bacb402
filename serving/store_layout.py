"""Where Feast keeps a row: key template and hashed field names, as exported by `serving.layout`.

Only the standard library: this runs inside Triton.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = 1


@dataclass(frozen=True)
class Sizes:
    """Widths of the tensors (names as in the design, "Serving")."""

    factors: int  # F
    dim: int  # d
    summary: int  # width of HEIN's summaries
    anchors: int  # A
    history: int  # H
    stored_stats: int  # S - 1

    @property
    def width(self) -> int:
        """Numbers of one item vector, flat."""
        return self.factors * self.dim


@dataclass(frozen=True)
class StoreLayout:
    """Keys and fields of one Feast project and one slot.

    `keys` maps "user" and "item" to (what stands before the id's length, what stands behind the id); `fields` maps
    them to {feature: hash field}, where `rev:<view>` is the revision that our writer keeps beside Feast's fields.
    """

    project: str
    slot: str
    sizes: Sizes
    keys: Mapping[str, tuple[bytes, bytes]]
    fields: Mapping[str, Mapping[str, bytes]]

    def key(self, entity: str, entity_id: bytes) -> bytes:
        """Redis key of the entity's hash."""
        before, after = self.keys[entity]
        return before + struct.pack("<I", len(entity_id)) + entity_id + after

    def reader(self, entity: str) -> Callable[[bytes], bytes]:
        """From an id to the HMGET of all the entity's fields, ready for the wire; all but the key is made once."""
        before, after = self.keys[entity]
        fields = self.fields[entity].values()
        head = b"*%d\r\n$5\r\nHMGET\r\n" % (2 + len(fields))
        tail = b"\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(field), field) for field in fields)
        around = len(before) + 4 + len(after)

        def read(entity_id: bytes) -> bytes:
            size = len(entity_id)
            return b"%b$%d\r\n%b%b%b%b%b" % (
                *(head, around + size, before, size.to_bytes(4, "little"), entity_id, after, tail),
            )

        return read

    def to_json(self) -> dict[str, Any]:
        """Plain data for layout.json."""
        return {
            "format": FORMAT,
            "project": self.project,
            "slot": self.slot,
            "sizes": vars(self.sizes),
            "keys": {entity: [part.hex() for part in parts] for entity, parts in self.keys.items()},
            "fields": {
                entity: {name: field.hex() for name, field in fields.items()} for entity, fields in self.fields.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "StoreLayout":
        """The inverse of `to_json`; raises `ValueError` for a format that this code does not know."""
        if data["format"] != FORMAT:
            raise ValueError(f"layout.json has format {data['format']}, this code reads {FORMAT}: export again")
        return cls(
            project=data["project"],
            slot=data["slot"],
            sizes=Sizes(**data["sizes"]),
            keys={
                entity: (bytes.fromhex(before), bytes.fromhex(after))
                for entity, (before, after) in data["keys"].items()
            },
            fields={
                entity: {name: bytes.fromhex(field) for name, field in fields.items()}
                for entity, fields in data["fields"].items()
            },
        )
