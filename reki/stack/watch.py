"""Sees that a Triton which runs no longer answers: it does not notice, or mend, that a model's process was killed."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from serving import launcher

PAUSE_S, FAILURES = 4.0, 3
_READY_S = 180.0
_PROBE_S = 5.0


class Watch:
    """Judges one Triton by real inferences. `probe` returns None, or why it was not answered."""

    def __init__(
        self,
        http_url: str,
        probe: Callable[[str, float], str | None] = launcher.probe,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._probe, self._clock = http_url, probe, clock
        self._pid, self._was_ready, self._failed, self._looked = 0, False, 0, -PAUSE_S

    def why_restart(self, process: Mapping[str, Any]) -> str | None:
        """Look once, if it is time; why it must be restarted, or None. `process` is what supervisor knows of it.

        What fails before the first answer is its start. Three failures in a row are needed, because one may be load.
        """
        now = self._clock()
        if process["statename"] != "RUNNING" or now - self._looked < PAUSE_S:
            return None
        if process["pid"] != self._pid:
            self._pid, self._was_ready, self._failed = process["pid"], False, 0
        why = self._probe(self._url, _PROBE_S)
        self._looked = self._clock()
        if why is None:
            self._was_ready, self._failed = True, 0
        elif f"{launcher.MODEL} answered 503" in why:
            self._failed = 0  # the model itself says that the online store is away: a restart mends nothing
        elif self._was_ready or process["now"] - process["start"] > _READY_S:
            self._failed += 1
        if self._failed < FAILURES:
            return None
        self._failed = 0
        return why
