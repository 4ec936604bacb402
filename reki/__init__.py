"""REKI: LLM knowledge infusion for recommenders, on Feast, Kafka and Triton.

What other teams import stands here and nowhere else. It is loaded at first use, so that `import reki` costs
neither torch nor feast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from knowledge.base import BehaviorEvent
    from serving.client import AsyncRekiClient, RekiClient
    from streams.await_applied import await_applied
    from streams.producer import BehaviorProducer

_HOME = {
    "AsyncRekiClient": "serving.client",
    "BehaviorEvent": "knowledge.base",
    "BehaviorProducer": "streams.producer",
    "RekiClient": "serving.client",
    "await_applied": "streams.await_applied",
}

__all__ = ["AsyncRekiClient", "BehaviorEvent", "BehaviorProducer", "RekiClient", "await_applied"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute can be of any type
    if name not in _HOME:
        raise AttributeError(f"module 'reki' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
