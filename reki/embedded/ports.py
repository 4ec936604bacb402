"""Free ports on loopback."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range from which Linux gives ports to outgoing connections (32768 and up): a port drawn here
# cannot be taken by somebody's client between the draw and the start of the server.
_LOWEST, _HIGHEST = 20_000, 31_999


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def draw(count: int = 1, taken: frozenset[int] = frozenset()) -> list[int]:
    """`count` different free ports, none of `taken`; raises `OSError` where there are none left."""
    chosen: list[int] = []
    for port in random.sample(range(_LOWEST, _HIGHEST + 1), _HIGHEST - _LOWEST + 1):
        if len(chosen) == count:
            break
        if port not in taken and is_free(port):
            chosen.append(port)
    if len(chosen) < count:
        raise OSError(f"no {count} free ports on {LOOPBACK} between {_LOWEST} and {_HIGHEST}")
    return chosen


def accepts(port: int, timeout_s: float = 0.5) -> bool:
    """Whether something listens on `port` of loopback."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s):
            return True
    except OSError:
        return False
