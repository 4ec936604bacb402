"""The ports of a stack: drawn once per clone and kept, so that addresses in files and notebooks stay true."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from knowledge.base import TerminalError
from reki.embedded.ports import LOOPBACK, draw


@dataclass(frozen=True)
class StackPorts:
    """One loopback port per listener."""

    valkey: int
    kafka: int
    kafka_controller: int
    llm: int
    triton_http: int
    triton_grpc: int
    triton_metrics: int
    stream_health: int
    refresh_health: int

    @classmethod
    def drawn(cls) -> "StackPorts":
        """Ports that are free now."""
        names = [item.name for item in fields(cls)]
        return cls(**dict(zip(names, draw(len(names)), strict=True)))

    @classmethod
    def read(cls, file: Path) -> "StackPorts | None":
        """The ports in `file`, or None if there is no such file or it does not hold ports, as of another version."""
        try:
            values = json.loads(file.read_text())
            known = cls(**values)
        except (OSError, ValueError, TypeError):
            return None
        return known if all(type(port) is int and 0 < port < 65_536 for port in values.values()) else None

    @classmethod
    def drawn_before(cls, file: Path) -> "StackPorts | None":
        """As `read`, but a file that is there and unreadable raises `TerminalError` (`bad_ports`)."""
        known = cls.read(file)
        if known is None and file.exists():
            raise TerminalError(
                "bad_ports",
                f"{file} does not hold the ports of a stack: remove it, or run `reki up`, which draws new ones",
            )
        return known

    @classmethod
    def kept(cls, file: Path) -> "StackPorts":
        """The ports in `file`, drawn and written there the first time. Safe with two callers: the first file stays.

        Raises `TerminalError` (`no_ports`) where the file can be neither read nor written.
        """
        known = cls.read(file)
        if known:
            return known
        text = json.dumps(asdict(cls.drawn()), indent=2)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            draft = file.with_name(f"{file.name}.{os.getpid()}")
            draft.write_text(text)
            if file.exists():  # unreadable: of another version
                draft.replace(file)
            else:
                try:
                    os.link(draft, file)
                except FileExistsError:
                    pass
                finally:
                    draft.unlink()
        except OSError as error:
            raise TerminalError("no_ports", f"cannot write {file}: {error.strerror}") from error
        written = cls.read(file)
        if written is None:
            raise TerminalError("no_ports", f"cannot read {file}: remove it and try again")
        return written

    def addresses(self) -> dict[str, Any]:
        """The rooms' settings that point at a stack on these ports."""
        return {
            "redis_url": f"redis://{LOOPBACK}:{self.valkey}/0",
            "kafka_bootstrap": f"{LOOPBACK}:{self.kafka}",
            "llm": "embedded",
            "llm_base_url": f"http://{LOOPBACK}:{self.llm}/v1",
            "triton_grpc_url": f"{LOOPBACK}:{self.triton_grpc}",
            "triton_http_url": f"http://{LOOPBACK}:{self.triton_http}",
            "stream_health_port": self.stream_health,
            "refresh_health_port": self.refresh_health,
        }
